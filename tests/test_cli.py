"""The command line stays small: a new option is a decision, not a habit."""

from __future__ import annotations

import pytest
from typer.main import get_command

import d2v_cli

COMMON = {"--scale", "--modality", "--set"}
STORES = {"--tracking-uri", "--storage"}
OPTIONS = {
    "studies": {"--json"},
    "plan": {*COMMON, *STORES, "--seeds", "--data-root", "--json"},
    "run": {*COMMON, *STORES, "--seeds", "--data-root", "--address"},
    "train": {"--seed", "--set", "--data-root", "--checkpoint"},
    "export": {"--recipe", "--set", "--to", "--network", "--out"},
    "report": {*COMMON, *STORES},
    "ui": {*STORES, "--port"},
}


def test_the_verbs_are_these() -> None:
    assert set(get_command(d2v_cli.app).commands) == set(OPTIONS)


@pytest.mark.parametrize("verb", OPTIONS)
def test_the_options_of_a_verb_are_these_and_each_is_explained(verb: str) -> None:
    command = get_command(d2v_cli.app).commands[verb]
    options = [p for p in command.params if p.param_type_name == "option"]
    assert {name for p in options for name in p.opts} == OPTIONS[verb]
    assert all(p.help for p in command.params)
    assert command.help
