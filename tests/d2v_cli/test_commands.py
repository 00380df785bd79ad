"""Printed commands mean the same in every folder, and hold no password."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from ablations.record import Manifest
from d2v_cli.commands import made_command, typed_command
from d2v_cli.options import parse_keep, probe_assignment
from d2v_core.errors import ConfigError
from reports.store.links import report_command
from sweeps.tracking.stores import choose_stores


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my lab"
    folder.mkdir()
    (folder / "mine.yaml").write_text("name: mine\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["d2v", *words])


def test_what_was_typed_is_made_complete(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "run", "mine.yaml", "--set", "data.folder=a b", "--storage=lab")
    command = typed_command(choose_stores("lab", None), "../data")
    assert shlex.split(command) == [
        *("d2v", "run", str(here / "mine.yaml"), "--set", "data.folder=a b"),
        *("--storage", f"{here}/lab", "--data-root", str(here.parent / "data")),
    ]


def test_defaults_stand_in_it_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "run", "layer_averaging", "--tracking-uri", "sqlite:///x.db")
    stores = choose_stores(None, "sqlite:///x.db")
    assert shlex.split(typed_command(stores, None)) == [
        *("d2v", "run", "layer_averaging", "--tracking-uri", f"sqlite:///{here}/x.db"),
        *("--storage", f"{here}/d2v-runs"),
    ]


@pytest.mark.parametrize("word", ["--tracking-uri=", "--tracking-uri "])
def test_a_database_with_a_password_is_named_by_its_variable(
    here: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    uri = "postgresql://d2v:s3cr3tpw@db/lab"
    typed(monkeypatch, "run", "layer_averaging", *f"{word}{uri}".split())
    for command in (
        typed_command(choose_stores("lab", uri), None),
        made_command("run", ["layer_averaging"], choose_stores("lab", uri), {}),
    ):
        assert "s3cr3tpw" not in command
        assert '--tracking-uri "$MLFLOW_TRACKING_URI"' in command


def test_each_address_has_its_variable(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "postgresql://d2v:s3cr3tpw@db/lab"
    typed(monkeypatch, "search", "x", "--optuna-storage", uri, "--bars", "mine.yaml")
    command = typed_command(choose_stores(None, None), None)
    start = 'd2v search x --optuna-storage "$OPTUNA_STORAGE" --bars '
    assert command.startswith(f"{start}'{here}/mine.yaml' --storage ")


def test_a_made_command_has_what_was_given(here: Path) -> None:
    options = {"--scale": "smoke", "--seeds": None, "--set": ["a=1 2", "b=$x"]}
    command = made_command("run", ["mine.yaml"], choose_stores(None, None), options)
    assert shlex.split(command) == [
        *("d2v", "run", str(here / "mine.yaml"), "--scale", "smoke"),
        *("--set", "a=1 2", "--set", "b=$x", "--storage", f"{here}/d2v-runs"),
    ]


@pytest.mark.parametrize(
    "places",
    [
        "",
        " --storage '/my lab'",
        " --storage=/lab",
        """ --tracking-uri "$MLFLOW_TRACKING_URI" --storage '/it'"'"'s'""",
    ],
)
def test_a_report_is_rebuilt_where_its_study_ran(places: str) -> None:
    manifest = Manifest.model_construct(
        study={"name": "mine"},
        modality="vision",
        scale="smoke",
        assignments=["a=1 2"],
        command=f"d2v run mine --set 'a=1 2'{places}",
    )
    start = "d2v report mine --modality vision --scale smoke --set 'a=1 2'"
    assert report_command(manifest) == start + places


@pytest.mark.parametrize("given", ["some", "", "ALL"])
def test_which_encoders_stay_is_one_of_two(given: str) -> None:
    assert parse_keep("none") == "none"
    with pytest.raises(ConfigError, match="--keep-encoders: must be one of all, none"):
        parse_keep(given)


@pytest.mark.parametrize("given", ["1.5", "half", "0.5;0.7", "-0.5", ","])
def test_probes_stand_at_shares_of_the_training(given: str) -> None:
    assert probe_assignment("0.25, .5") == ["execution.probe_at=[0.25, .5]"]
    assert probe_assignment(None) == []
    with pytest.raises(ConfigError, match="--probe-at: must be shares of the training"):
        probe_assignment(given)
