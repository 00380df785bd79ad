"""``d2v doctor`` says what is here, and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from d2v_cli.app import app
from d2v_cli.doctor import SCALES
from sweeps.plan.resources import Node


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "D2V_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def doctor(*words: str) -> str:
    done = CliRunner().invoke(app, ["doctor", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def found(*words: str) -> dict[str, Any]:
    return {f["what"]: f for f in json.loads(doctor("--json", *words))["findings"]}


def test_every_line_is_there_and_nothing_is_made(empty_folder: Path) -> None:
    shown = doctor()
    names = ("versions", "torch", "cores", "memory", "GPU", "data", "storage", "store")
    for name in (*names, "port"):
        assert f"\n{name}" in f"\n{shown}", name
    for scale in SCALES:
        assert f"│ {scale}" in shown
    assert list(empty_folder.iterdir()) == []


def test_data_is_named_or_what_to_do(empty_folder: Path) -> None:
    assert "--data-root" in found()["data"]["advice"]
    (empty_folder / "cifar10").mkdir()
    assert "cifar10" in found("--data-root", str(empty_folder))["data"]["found"]
    absent = found("--data-root", str(empty_folder / "absent"))["data"]
    assert "is no folder" in absent["found"]
    assert absent["advice"]


def test_a_larger_machine_runs_more_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sweeps.plan.resources.this_machine", lambda: Node("", "here", 16.0, 1.0)
    )
    scales = {s["scale"]: s for s in json.loads(doctor("--json"))["scales"]}
    assert scales["smoke"]["at once here"] == "16"
    assert scales["gpu"]["at once here"] == "1"


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.output.startswith("d2v ")
