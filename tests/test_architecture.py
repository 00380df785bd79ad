"""Imports point one way, and importing does nothing heavy (design.md)."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
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
INSIDE_SWEEPS = {
    "worker": set(),
    "tracking": set(),
    "plan": {"tracking", "worker"},
    "ray": {"plan", "tracking", "worker"},
    "driver": {"plan", "ray", "tracking", "worker"},
    "search": {"driver", "plan", "ray", "tracking", "worker"},
}
"""Beside them, the modules that lie in ``sweeps/`` itself import none of these."""
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


def our_modules(root: Path, rooms: Iterable[str]) -> dict[str, Path]:
    """Every module of these rooms by its name."""
    files = [file for room in rooms for file in (root / room).rglob("*.py")]
    names = (".".join(file.relative_to(root).with_suffix("").parts) for file in files)
    return dict(zip((n.removesuffix(".__init__") for n in names), files, strict=True))


def imported_modules(file: Path, known: Iterable[str]) -> set[str]:
    """What a file imports of these, wherever: for types and inside functions too."""
    known = set(known)
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= names & known or {node.module or ""}
    return imported & known


def imports_in(root: Path, rooms: Iterable[str]) -> dict[str, set[str]]:
    modules = our_modules(root, rooms)
    return {
        name: imported_modules(file, modules) - {name} for name, file in modules.items()
    }


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Modules that import each other, directly or through others."""

    def reached(start: str) -> set[str]:
        seen, waiting = set[str](), [start]
        while waiting:
            new = graph[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    reach = {name: reached(name) for name in graph}
    in_circles = {n: {m for m in reach[n] if n in reach[m]} for n in graph}
    return [set(c) for c in {frozenset(c) for c in in_circles.values()} if c]


def test_circles_are_found_through_types_and_functions(tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "a.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from room.b import B\n"
    )
    (room / "b.py").write_text("def f():\n    from room import c\n")
    (room / "c.py").write_text("import room.a\n")
    (room / "d.py").write_text("from room import a, c\n")
    graph = imports_in(tmp_path, ["room"])
    assert circles(graph) == [{"room.a", "room.b", "room.c"}]


def test_no_modules_import_each_other():
    graph = imports_in(ROOT, ROOMS)
    assert len(graph) > 100
    assert sum(map(len, graph.values())) > 500
    assert circles(graph) == []


def test_the_rooms_inside_sweeps_import_one_way():
    graph = imports_in(ROOT, ["sweeps"])
    inside = {
        (name, module)
        for name, imported in graph.items()
        for module in imported
        if module != "sweeps.ray.compat"  # imports nothing, so that all may ask it
        if (room := module.split(".")[1]) in INSIDE_SWEEPS
        and room != (own := name.split(".")[1])
        and room not in INSIDE_SWEEPS.get(own, set())
    }
    assert inside == set()
    folders = {path.parent.name for path in (ROOT / "sweeps").glob("*/__init__.py")}
    assert folders == set(INSIDE_SWEEPS)


def choices_in(file: Path) -> list[tuple[object, ...]]:
    """The alternatives of every ``Literal`` that has several, sorted."""
    subscripts = [
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Literal"
        and isinstance(node.slice, ast.Tuple)
    ]
    return [tuple(sorted(map(ast.unparse, node.slice.elts))) for node in subscripts]


def test_each_choice_is_written_once():
    files = our_modules(ROOT, ROOMS).values()
    choices = [choice for file in files for choice in choices_in(file)]
    assert len(choices) > 20
    assert len(set(choices)) == len(choices), sorted(
        {choice for choice in choices if choices.count(choice) > 1}
    )


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("d2v_core.trial", {"ray", "mlflow", "optuna", "pandas", "matplotlib"}),
        ("sweeps.driver.run", {"timm", "torchvision", "sklearn", "scipy", "mlflow"}),
        ("sweeps.worker.trial", {"timm", "torchvision", "sklearn", "scipy", "mlflow"}),
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
