"""Names in the tracking store stand in one file, and mean what the core logs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ablations import mlflow_names as names

ROOT = Path(__file__).parents[2]
ROOMS = ("d2v_core", "ablations", "sweeps", "reports", "d2v_cli", "benchmarks")
NAMES = {name: value for name, value in vars(names).items() if name.isupper()}
LOGGED_BY_THE_CORE = {
    names.LOSS_METRIC: "d2v_core/training/loop.py",
    names.TRAINING_SECONDS_METRIC: "d2v_core/trial.py",
    names.EVALUATION_SECONDS_METRIC: "d2v_core/trial.py",
}


def texts(file: Path) -> set[str]:
    """The strings in a file, parts of f-strings too."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def is_shared_name(text: str) -> bool:
    return text.startswith(("d2v.", "mlflow."))


def test_names_are_recognised(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = f'd2v.study.{1}', 'mlflow.user', 'd2v run'\n")
    recognised = {text for text in texts(file) if is_shared_name(text)}
    assert recognised == {"d2v.study.", "mlflow.user"}


@pytest.mark.parametrize("room", ROOMS)
def test_nobody_else_writes_a_name_of_the_store(room: str) -> None:
    files = [f for f in (ROOT / room).rglob("*.py") if f.name != "mlflow_names.py"]
    assert files
    written = {
        f"{file.relative_to(ROOT)}: {text!r}"
        for file in files
        for text in texts(file)
        if is_shared_name(text)
    }
    assert not written, "use ablations.mlflow_names"


def test_no_two_names_are_the_same() -> None:
    assert len(NAMES) > 20
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize("metric", LOGGED_BY_THE_CORE)
def test_the_core_logs_what_is_read_back(metric: str) -> None:
    assert metric in texts(ROOT / LOGGED_BY_THE_CORE[metric])
