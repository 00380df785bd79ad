"""The command line stays small: a new option is a decision, not a habit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click import Command
from typer.main import get_command

import d2v_cli

COMMON = {"--scale", "--modality", "--set"}
STORES = {"--tracking-uri", "--storage"}
OPTIONS = {
    "studies": {"--check", "--scale", "--json"},
    "schema": set(),
    "plan": {
        *(*COMMON, *STORES, "--seeds", "--arm", "--data-root", "--json"),
        *("--until-decided", "--max-seeds", "--recipe", "--gpu-share"),
    },
    "run": {
        *(*COMMON, *STORES, "--seeds", "--arm", "--data-root", "--address"),
        *("--budget", "--bars", "--json", "--keep-encoders", "--probe-at"),
        *("--until-decided", "--max-seeds", "--recipe", "--gpu-share"),
    },
    "evaluate": {
        *(*COMMON, *STORES, "--seeds", "--arm", "--data-root", "--address", "--bars"),
        *("--recipe", "--gpu-share"),
    },
    "prune": {*STORES, "--yes"},
    "train": {"--seed", "--set", "--data-root", "--checkpoint", "--storage"},
    "export": {
        *(*COMMON, *STORES, "--study", "--arm", "--seed"),
        *("--recipe", "--to", "--network", "--out"),
    },
    "search": {
        *(*COMMON, *STORES, "--trials", "--seed", "--path-seeds"),
        *("--data-root", "--optuna-storage", "--address"),
        *("--recipe", "--gpu-share"),
    },
    "report": {
        *(*COMMON, *STORES, "--all", "--json", "--caption"),
        *("--verbose", "--from", "--records", "--compare", "--recipe"),
    },
    "doctor": {*STORES, "--data-root", "--json"},
    "recipe new": {"--out", "--modality", "--sized-for"},
    "data check": {"--modality", "--page", "--json"},
    "data manifest": {"--out", "--valid"},
    "ui": {*STORES, "--scale", "--modality", "--open", "--port"},
}


def verbs() -> dict[str, Command]:
    """Every verb, those below another with both names."""
    found = dict[str, Command]()
    for name, command in get_command(d2v_cli.app).commands.items():
        below = getattr(command, "commands", {})
        found |= {f"{name} {inner}": each for inner, each in below.items()}
        found |= {} if below else {name: command}
    return found


def test_the_verbs_are_these() -> None:
    assert set(verbs()) == set(OPTIONS)


@pytest.mark.parametrize("verb", OPTIONS)
def test_the_options_of_a_verb_are_these_and_each_is_explained(verb: str) -> None:
    command = verbs()[verb]
    options = [p for p in command.params if p.param_type_name == "option"]
    assert {name for p in options for name in p.opts} == OPTIONS[verb]
    assert all(p.help for p in command.params)
    assert command.help


STUDY = """\
name: mine
title: Mine
axis: {setting: mask.ratio, label: ratio, values: [0.4, 0.6]}
seeds: [0, 3, 4]
metric: {vision: linear_accuracy}
"""


def called(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["d2v", *arguments])
    with pytest.raises(SystemExit) as caught:
        d2v_cli.main()
    return int(caught.value.code or 0)


def test_the_schema_is_json_for_an_editor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("schema", monkeypatch=monkeypatch) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "A d2v study"


def test_a_valid_study_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    assert called("studies", "--check", str(file), monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == (
        "valid: 2 arms x 3 seeds for vision (scale smoke)\n"
    )


def test_mistakes_of_a_study_are_placed_and_exit_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY.replace("0.6]", "1.6]"))
    assert called("studies", "--check", str(file), monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err == (
        f"{file}:3:43: study mine: arm 'ratio=1.6': mask.ratio: must be less than 1, "
        "got 1.6\n"
    )


def test_the_shipped_studies_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("studies", "--json", monkeypatch=monkeypatch) == 0
    names = [study["name"] for study in json.loads(capsys.readouterr().out)]
    assert names == sorted(names)
    assert "layer_averaging" in names
