"""A wheel built from here works in another folder, with the core's packages alone."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.mutations.__main__ import copy_tree

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_OF_THE_CORE = ("ray", "mlflow", "optuna", "pandas", "typer", "rich", "ruamel")

pytestmark = pytest.mark.thorough

TRAIN = """
import numpy as np, d2v_core, sys
found = d2v_core.pretrain(
    np.zeros((8, 8, 8), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None],
    settings={"training": {"num_steps": 2, "batch_size": 4}},
    progress=False,
)
found.save("kept")
assert d2v_core.load_encoder("kept").step == 2
assert not {"ray", "mlflow", "optuna", "pandas"} & sys.modules.keys()
print(d2v_core.__file__)
"""
HIDING = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    hidden = name.partition(".")[0] in {names!r}
    return None if hidden else find(name, path, target)
PathFinder.find_spec = staticmethod(find_others)
"""
"""In ``sitecustomize``: as if these were not installed."""


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what the core declares; its Python.

    The libraries are those of this environment: installing torch again would take
    gigabytes. What the core does not declare cannot be imported.
    """
    folder, sources = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("tree")
    copy_tree(None, sources)  # building leaves files that a later wheel would take in
    wheel = run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
        *("--no-build-isolation", "--wheel-dir", folder, sources),
        cwd=folder,
    )
    assert wheel.returncode == 0, wheel.stderr
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "env" / "lib" / version / "site-packages"
    (file,) = folder.glob("*.whl")
    installed = run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
        *("--target", site, file),
        cwd=folder,
    )
    assert installed.returncode == 0, installed.stderr
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    (site / "sitecustomize.py").write_text(HIDING.format(names=set(NOT_OF_THE_CORE)))
    return python


def test_the_core_trains_where_only_its_own_packages_are(bare: Path, tmp_path: Path):
    done = run(bare, "-W", "error", "-c", TRAIN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(bare.parent.parent) in done.stdout


def test_the_command_says_what_to_install(bare: Path, tmp_path: Path):
    done = run(bare, "-m", "d2v_cli", cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'd2v-ablation-lab[report]'" in done.stderr


def test_the_core_declares_none_of_the_others_packages():
    names = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    assert names.isdisjoint(NOT_OF_THE_CORE)
    assert {"torch", "timm", "torchaudio"} <= names
    extras = PROJECT["project"]["optional-dependencies"]
    assert {"sweep", "report", "dev"} == set(extras)
