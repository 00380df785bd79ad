"""Imports point one way, and importing does nothing heavy (design.md)."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"d2v_core", "ablations", "sweeps", "reports", "d2v_cli"}
MAY_IMPORT = {
    "d2v_core": set(),
    "ablations": {"d2v_core"},
    "sweeps": {"d2v_core", "ablations"},
    "reports": {"ablations", "d2v_core"},
}
NEVER = {
    "d2v_core": {
        *("ray", "mlflow", "optuna", "pandas", "matplotlib", "typer", "rich"),
        "transformers",
    },
    "ablations": {"ray", "mlflow", "optuna", "pandas", "torch", "timm", "matplotlib"},
    "sweeps": {"matplotlib"},
    "reports": {"ray", "torch", "timm"},
}


def imported_packages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


def test_the_reader_of_imports_sees_every_form(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import ray.tune as t, os\nfrom mlflow.x import y\n"
        "def f():\n    from optuna import z\n"
    )
    assert imported_packages(file) == {"ray", "os", "mlflow", "optuna"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_each_room_imports_only_what_it_may(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        imported = imported_packages(file)
        wrong = (imported & (ROOMS - {room} - MAY_IMPORT[room])) | (
            imported & NEVER[room]
        )
        assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("d2v_core.trial", {"ray", "mlflow", "optuna", "pandas", "matplotlib"}),
        ("d2v_core.config", {"torch", "timm", "numpy", "sklearn"}),
        ("ablations.library", {"torch", "timm", "pandas", "ray", "mlflow"}),
        ("ablations.identity", {"torch", "timm", "pandas", "ray", "mlflow"}),
    ],
)
def test_a_room_imports_silently_where_others_packages_are_not_installed(
    module, absent
):
    # A name that is None in sys.modules cannot be imported: neither by the room nor by
    # a library below it (scikit-learn takes pandas along only where it finds it).
    code = f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import {module}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


WHICH_OBJECTIVE = re.compile(
    r"isinstance\([^)]*Objective\b"
    r"|objective\.kind\s*(==|!=|in\b|not in\b)"
    r"|match .*objective\b"
    r"|import .*\b(Data2Vec|Supervised|Untrained)Objective\b"
)
MAY_ASK = ("d2v_core/objectives/", "d2v_core/config/objective.py")


def test_nobody_asks_which_objective_it_is():
    for asks in (
        "if isinstance(trial.objective, UntrainedObjective):",
        'if trial.objective.kind == "supervised":',
        "from d2v_core.config.objective import Loss, SupervisedObjective",
    ):
        assert WHICH_OBJECTIVE.search(asks)
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if name.startswith(MAY_ASK):
                continue
            for line in file.read_text(encoding="utf-8").splitlines():
                assert not WHICH_OBJECTIVE.search(line), f"{name}: {line.strip()}"
