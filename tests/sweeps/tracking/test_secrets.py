"""A password in the tracking address is nowhere: no file, no database, no output."""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeps.command import TINY, d2v, environment
from tests.sweeps.servers import free_port, mlflow_server

PASSWORD = "s3cr3tpw"
STUDY = """
name: tiny
title: Tiny
axis: {setting: target.top_k, label: K, values: [1, 2]}
baseline: K=1
seeds: 1
metric: {vision: linear_accuracy}
"""


def pasted(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A printed command in a shell that stands somewhere else."""
    folder.mkdir(exist_ok=True)
    function = f'd2v() {{ {shlex.quote(sys.executable)} -m d2v_cli "$@"; }}'
    extra = {"PYTHONPATH": os.getcwd()}
    return subprocess.run(
        ["bash", "-c", f"{function}\n{command}"],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.thorough
def test_a_study_on_a_server_with_a_password(tmp_path: Path) -> None:
    """Then its printed commands, pasted in another folder, where no password is."""
    port, study = free_port(), tmp_path / "tiny.yaml"
    study.write_text(STUDY)
    store = f"sqlite:///{tmp_path}/served.db"
    uri = f"http://bob:{PASSWORD}@127.0.0.1:{port}"
    options = ("--storage", "my lab", "--tracking-uri", uri)
    log = tmp_path / "server.log"
    with mlflow_server(store, tmp_path / "artifacts", port, log):
        plan = d2v(tmp_path, "plan", "tiny.yaml", *TINY, *options)
        assert plan.code == 0, plan.out + plan.err
        printed = plan.out.partition("to run it: ")[2].splitlines()[0]
        run = d2v(tmp_path, "run", "tiny.yaml", *TINY, *options)
        assert run.code == 0, run.out + run.err
        report = d2v(tmp_path, "report", "tiny", *options)
        assert report.code == 0, report.out + report.err

        again = pasted(printed, tmp_path / "elsewhere")
        assert again.returncode == 0, again.stderr
        assert "nothing to train: all 2 trials" in again.stdout
        pages = (tmp_path / "my lab" / "reports").glob("*/report.html")
        page = max(pages, key=lambda file: len(file.parent.name))  # with --set
        before = page.stat().st_mtime_ns
        (rebuild,) = re.findall(r"<pre>(d2v report [^<]*)</pre>", page.read_text())
        rebuild = html.unescape(rebuild)
        assert pasted(rebuild, tmp_path / "elsewhere").returncode == 0
        assert page.stat().st_mtime_ns > before

    outputs = [plan.out, plan.err, run.out, run.err, report.out, report.err]
    assert not any(PASSWORD in output for output in outputs)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"served.db", "study.json", "report.html"} <= {file.name for file in files}
    leaks = [file for file in files if PASSWORD.encode() in file.read_bytes()]
    assert leaks == []
