"""MLflow's own pages over our store: what a person finds under a study's link.

With ``D2V_SCREENSHOTS=docs/images`` the study is trained for longer and the pictures in
the documentation are made anew.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, Page

from ablations.mlflow_names import SAMPLES_ARTIFACT
from d2v_core.evaluation.pictures import GAP, SIDES
from reports.store.links import run_address
from tests.browser import chromium
from tests.sweeps.command import Here, d2v, environment
from tests.sweeps.conftest import COMMAND, Lab
from tests.sweeps.servers import free_port, wait_for

pytestmark = pytest.mark.thorough
SECONDS = 120
PATIENCE = 1_000 * SECONDS
PICTURES = os.environ.get("D2V_SCREENSHOTS")
RUN = (*COMMAND[:4], "--set=training.num_steps=300") if PICTURES else COMMAND


CODES = ["A1 K=1", "A2 K=2", "A3 K=4", "A4 K=8", "A5 untrain", "A6 supervi"]
"""Codes of the study's arms: what the parameter ``arm`` holds."""


@dataclass(frozen=True)
class Ui:
    """A running ``d2v ui layer_averaging``."""

    address: str
    link: str
    """As it was printed."""


@pytest.fixture(scope="module")
def shown(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    if PICTURES is None:
        return lab
    folder = tmp_path_factory.mktemp("pictures")
    done = d2v(folder, *RUN)
    assert done.code == 0, done.out + done.err
    return Lab(folder, done)


@pytest.fixture(scope="module")
def ui(shown: Lab) -> Iterator[Ui]:
    port, log = free_port(), shown.folder / "ui.txt"
    browser = shown.folder / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {shown.folder / 'opened'}\n")
    browser.chmod(0o755)
    command = [sys.executable, "-m", "d2v_cli", "ui", "layer_averaging", "--open"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=shown.folder,
            env=environment(BROWSER=f"{browser} %s"),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, process, SECONDS)
        printed = log.read_text()
        link = re.search(r"layer_averaging \(vision, smoke\): (\S+)", printed)
        assert link, printed
        yield Ui(f"http://127.0.0.1:{port}", link[1])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=SECONDS)


def opened(browser: Browser, address: str) -> Page:
    """A page with the study's arms, without the panel of MLflow's assistant."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.get_by_text("Group: K=4").first.wait_for()
    page.get_by_label("Close", exact=True).click()
    page.get_by_label("Hide banner").click()
    return page


def picture(page: Page, name: str) -> None:
    if PICTURES is not None:
        page.wait_for_timeout(2_000)  # drawings fade in
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.mark.browser
def test_the_link_shows_the_arms_and_compare_what_differs(ui: Ui) -> None:
    with chromium() as browser:
        page = opened(browser, ui.link)
        for text in ("Group: untrained", "K=1 · seed 0", "supervised · seed 1"):
            page.get_by_text(text).first.wait_for()
        assert page.get_by_text("Sort: eval/linear_accuracy").count() == 1
        assert page.get_by_text("12 matching runs").count() == 1
        picture(page, "mlflow-study")

        page.locator("input[type=checkbox]").first.check()
        page.get_by_test_id("runs-compare-button").click()
        page.get_by_text("Comparing 12 Runs").wait_for()
        plot = page.locator(".js-plotly-plot").first
        plot.wait_for()
        drawn = plot.inner_text()
        for word in ("K", "arm", "objective.kind", "eval/linear_accuracy"):
            assert word in drawn
        lines = [line.strip() for line in drawn.splitlines()]
        codes = [line for line in lines if re.fullmatch(r"A\d .+", line)]
        assert codes == CODES  # in the study's order, each once, none cut
        picture(page, "mlflow-compare")

        page.get_by_label("Parameters - Show diff only").click()
        page.get_by_role("cell", name="data.source").wait_for(state="detached")
        differing = page.locator("table").nth(1).inner_text()
        for setting in ("target.top_k", "objective.kind", "seed"):
            assert setting in differing

        # Of metrics the page makes only as many rows as are seen: one of the first.
        page.get_by_role("link", name="prediction/std", exact=True).click()
        curves = page.locator(".js-plotly-plot .scatterlayer path.js-line")
        curves.nth(7).wait_for(state="attached")  # of the eight that were trained
        assert "Step" in page.locator(".js-plotly-plot").first.inner_text()


@pytest.mark.browser
def test_a_trials_page_says_what_it_is_and_shows_what_is_recovered(
    shown: Lab, ui: Ui
) -> None:
    by_name = {run.info.run_name: run for run in shown.trials()}
    run = by_name["K=2 · seed 0"]
    address = run_address(ui.address, run.info.experiment_id, run.info.run_id)
    assert address is not None
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.get_by_text("K=2 (A2 K=2), seed 0, of").first.wait_for()
        score = f"{run.data.metrics['eval/linear_accuracy']:.2f}"
        page.get_by_text(f"finished, linear probe accuracy (%) {score}").wait_for()
        classic = page.get_by_text("Model registry").first  # not the GenAI pages
        classic.wait_for()
        assert page.get_by_text("Judges").count() == 0
        page.goto(address.replace("?", "/artifacts/samples/masked.png?"))
        page.get_by_text("samples/masked.png").first.wait_for()
        # MLflow loads the image out of sight, then draws it.
        drawing = page.locator("img[src^='blob:']").first
        drawing.wait_for(state="attached")
        width = drawing.evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        assert width == 4 * SIDES[0] + 3 * GAP
        picture(page, "mlflow-samples")


def test_only_trained_trials_have_pictures_and_no_tag_is_empty(shown: Lab) -> None:
    client = MlflowClient(tracking_uri=shown.uri)
    for run in shown.trials():
        assert [name for name, value in run.data.tags.items() if not value] == []
        assert run.data.params["arm"] in CODES
        arm = run.data.tags["d2v.arm"]
        assert run.info.run_name.startswith(f"{arm} · seed ")
        files = client.list_artifacts(run.info.run_id, SAMPLES_ARTIFACT)
        assert bool(files) == arm.startswith("K=")
        assert all(file.file_size < 100_000 for file in files)


def test_the_link_is_opened_once_the_server_answers(shown: Lab, ui: Ui) -> None:
    told, deadline = shown.folder / "opened", time.monotonic() + SECONDS
    while not told.exists() or not told.read_text():
        assert time.monotonic() < deadline, "no browser was started"
        time.sleep(0.1)
    assert told.read_text().strip() == ui.link


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_the_stores_address_is_an_argument_of_no_process(shown: Lab, ui: Ui) -> None:
    """It may hold a password, and everybody sees the arguments of others."""
    seen = list[bytes]()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            seen.append(file.read_bytes())
    assert any(b"--default-artifact-root" in arguments for arguments in seen)
    assert not any(b"mlflow.db" in arguments for arguments in seen)


@pytest.mark.browser
def test_the_charts_begin_with_the_metric_that_counts(shown: Lab, ui: Ui) -> None:
    by_arm: dict[str, list[float]] = {}
    for run in shown.trials():
        accuracy = run.data.metrics["eval/linear_accuracy"]
        by_arm.setdefault(run.data.tags["d2v.arm"], []).append(accuracy)
    means = [f"{fmean(values):.2f}" for values in by_arm.values()]
    with chromium() as browser:
        page = opened(browser, f"{ui.link}&compareRunsMode=CHART")
        bars = page.locator(".js-plotly-plot").first
        bars.wait_for()
        drawn = bars.inner_text()
        assert [mean for mean in means if mean not in drawn] == []
        picture(page, "mlflow-charts")


def test_a_served_store_is_as_good_as_a_file(
    shown: Lab, ui: Ui, here: Here, tmp_path: Path
) -> None:
    served = ("--tracking-uri", ui.address, "--storage", str(tmp_path))
    again = here(tmp_path, *RUN, *served)
    assert again.code == 0, again.out + again.err
    assert "nothing to train: all 12 trials were found in the store by key" in again.out
    (page,) = tmp_path.glob("reports/*/report.html")
    text = page.read_text()
    assert f'href="{ui.address}/#/experiments/' in text
    assert shown.trials()[0].info.run_id in text

    linked = here(tmp_path, "ui", "layer_averaging", *served)
    assert linked.code == 0, linked.err
    assert ui.link in linked.out  # and no second server


def test_a_port_that_is_taken_is_refused(lab: Lab, here: Here) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = here(lab.folder, "ui", "--port", port)
    assert done.code == 2
    assert f"--port: must be free, got {port}" in done.err
