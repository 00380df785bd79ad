"""MLflow's own pages over our store: what a person finds under Compare."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote

import pytest

from tests.browser import chromium
from tests.sweeps.command import d2v, environment
from tests.sweeps.conftest import COMMAND, Lab

SECONDS = 90


@pytest.fixture(scope="module")
def ui(lab: Lab) -> Iterator[str]:
    """Address of a running ``d2v ui``."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    command = [sys.executable, "-m", "d2v_cli", "ui", "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=lab.folder,
        env=environment(lab.folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_answered(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=SECONDS)


def wait_until_answered(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except (URLError, ConnectionError, TimeoutError):
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.3)
        else:
            return


@pytest.mark.browser
def test_compare_draws_the_arms_against_the_metric(lab: Lab, ui: str) -> None:
    experiment = lab.trials()[0].info.experiment_id
    order = quote("metrics.`eval/linear_accuracy`")
    trials = quote("tags.`d2v.role` = 'trial'")
    query = f"orderByKey={order}&searchFilter={trials}"
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{ui}/#/experiments/{experiment}/runs?{query}")
        page.get_by_text("K=1 · seed 0").first.wait_for(timeout=60_000)
        for name in ("K=4 · seed 1", "untrained · seed 0"):
            assert page.get_by_text(name).count() > 0
        page.locator("input[type=checkbox]").first.check()
        page.get_by_test_id("runs-compare-button").click()
        page.get_by_text("Comparing 12 Runs").wait_for(timeout=60_000)
        plot = page.locator(".js-plotly-plot").first
        plot.wait_for(timeout=60_000)
        drawn = plot.inner_text()
    for word in (
        "K",
        "arm",
        "objective.kind",
        "K=1",
        "supervised",
        "eval/linear_accuracy",
    ):
        assert word in drawn


def test_a_served_store_is_as_good_as_a_file(lab: Lab, ui: str, tmp_path: Path) -> None:
    served = ("--tracking-uri", ui, "--storage", str(tmp_path))
    again = d2v(tmp_path, *COMMAND, *served)
    assert again.code == 0, again.out + again.err
    assert "nothing to train: all 12 trials were found in the store by key" in again.out
    (page,) = tmp_path.glob("reports/*/report.html")
    run_id = lab.trials()[0].info.run_id
    assert f'href="{ui}/#/experiments/' in page.read_text()
    assert run_id in page.read_text()
