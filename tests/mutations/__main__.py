"""Runs the mutations: each in a copy of the tree, with the tests named for it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tests.mutations.table import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
SECONDS = 1_500
"""For the tests of one mutation; some mistakes make a run wait for ever."""
ROOMS = ("d2v_core", "ablations", "sweeps", "reports", "d2v_cli")
LIBRARIES = (
    *("torch", "torchaudio", "timm", "sklearn.linear_model", "scipy.stats", "pandas"),
    *("pydantic", "ruamel.yaml", "jinja2"),
)
"""Loaded once: most of the time of a small test file is theirs."""
PASSED, FAILED, BROKEN = 0, 1, 99
"""Exit codes of pytest; any other means that it could not run the tests."""


def copy_tree(commit: str | None, folder: Path) -> None:
    """The files of a commit, or of the working tree as git would add them."""
    if commit is not None:
        packed = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "x"], cwd=folder, check=True, input=packed.stdout)
        return
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def place(mutation: Mutation, tree: Path) -> Path:
    """The one file below ``where`` that has the text, once."""
    top = tree / mutation.where
    candidates = [top] if top.is_file() else sorted(top.rglob("*.*"))
    texts = {f: f.read_text() for f in candidates if f.suffix in (".py", ".yaml")}
    places = {f: text.count(mutation.old) for f, text in texts.items()}
    found = [file for file, count in places.items() for _ in range(count)]
    assert len(found) == 1, (
        f"{mutation.name}: the text must stand once below {mutation.where}, it stands "
        f"{len(found)} times; correct tests/mutations/table.py"
    )
    return found[0]


@contextmanager
def mutated(mutation: Mutation, tree: Path) -> Iterator[None]:
    """The tree with the mistake in it."""
    file = place(mutation, tree)
    text = file.read_text()
    file.write_text(text.replace(mutation.old, mutation.new))
    try:
        yield
    finally:
        file.write_text(text)


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Exit code of pytest in the tree, and the first test that failed."""
    with tempfile.TemporaryFile("w+") as log:
        child = os.fork()
        if child == 0:
            _run_and_exit(tree, tests, log.fileno())
        deadline = time.monotonic() + SECONDS
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return FAILED, "the tests did not end"
            time.sleep(0.1)
        log.seek(0)
        output = log.read()
    code = os.waitstatus_to_exitcode(status)
    if code not in (PASSED, FAILED):
        return code, output[-2_000:]
    first = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return code, first[1] if first else ""


def _run_and_exit(tree: Path, tests: Sequence[str], log: int) -> NoReturn:
    """In a fork of this process, which has loaded the libraries but none of our rooms.

    Commands that the tests start must find the tree too: hence ``PYTHONPATH``, which
    comes before the installed project.
    """
    code = BROKEN
    try:
        os.setsid()
        os.chdir(tree)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1")
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(tree))
        for name in [n for n in sys.modules if n.partition(".")[0] == "tests"]:
            del sys.modules[name]
        options = ["-x", "-q", "-ra", "-p", "no:cacheprovider"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # LIBRARIES
        code = BROKEN if _strangers(tree) else pytest.main([*options, *tests])
    except BaseException:  # it must not go on as if it were the parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _strangers(tree: Path) -> list[str]:
    """Rooms whose code would not be the tree's; told to whoever reads the output."""
    found = {room: importlib.util.find_spec(room) for room in (*ROOMS, "tests")}
    inside = {
        r for r, at in found.items() if f"{at and at.origin}".startswith(f"{tree}/")
    }
    strangers = sorted(set(found) - inside | set(found) & set(sys.modules))
    sys.stderr.write(f"not read from {tree}: {strangers}\n" * bool(strangers))
    return strangers


def check(mutations: Sequence[Mutation], tree: Path) -> int:
    """Run all, a line for each; how many were not noticed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for library in LIBRARIES:
        importlib.import_module(library)
    for mutation in mutations:
        place(mutation, tree)
    named = sorted({test for mutation in mutations for test in mutation.tests})
    code, first = run_tests(tree, named)
    assert code == PASSED, f"without any mutation: {first}"
    print("| mutation | noticed by |\n| --- | --- |", flush=True)
    missed = 0
    for mutation in mutations:
        with mutated(mutation, tree):
            code, first = run_tests(tree, mutation.tests)
        missed += code != FAILED
        said = {FAILED: f"`{first}`", PASSED: "**nothing**"}
        line = said.get(code, f"pytest ended with {code}: {first}")
        print(f"| {mutation.name} | {line} |", flush=True)
    print(f"\n{len(mutations) - missed} of {len(mutations)} were noticed.")
    return missed


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("--commit", help="its code and tests, not the working tree")
    parser.add_argument("names", nargs="*", help="mutations; default: all")
    options = parser.parse_args()
    known = {mutation.name: mutation for mutation in MUTATIONS}
    if unknown := set(options.names) - set(known):
        parser.error(f"no such mutation: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="d2v-mutations-") as folder:
        copy_tree(options.commit, Path(folder))
        chosen = [known[name] for name in options.names] or MUTATIONS
        return min(check(chosen, Path(folder)), 1)


if __name__ == "__main__":
    sys.exit(main())
