"""A recipe of the user's is the base of any study, and everything printed says so."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ablations.study.arms import Request
from d2v_cli.app import app
from d2v_core.errors import ConfigError
from reports.store.links import report_command, train_command
from sweeps.plan.planning import make_manifest, plan_study
from sweeps.plan.resources import Node
from tests.d2v_core.small import SMALL

RECIPE = {k: v for k, v in SMALL.items() if k != "seed"}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / "tiny one.yaml"
    file.write_text(json.dumps(RECIPE))  # JSON is YAML
    return file


def plan(*words: str) -> Any:
    done = CliRunner().invoke(
        app, ["plan", "layer_averaging", "--seeds", "1", *words], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_any_study_is_planned_on_it(recipe: Path) -> None:
    shown = plan("--recipe", recipe.name)
    command = shlex.split(shown.partition("to run it: ")[2])
    assert command[command.index("--recipe") + 1] == str(recipe)
    assert not {"--scale", "--modality"} & set(command)
    as_json = json.loads(plan("--recipe", recipe.name, "--json"))
    assert "layer_averaging" in json.dumps(as_json)


def test_its_commands_name_the_file_and_its_request_is_its_own(recipe: Path) -> None:
    mine = Request("vision", "tiny-one", seeds=(0,), recipe=str(recipe))
    shipped = Request("vision", "smoke", seeds=(0,))
    manifests = [
        make_manifest(plan_study("layer_averaging", request), "d2v run")
        for request in (mine, shipped)
    ]
    manifest = manifests[0]
    assert manifest.request_id != manifests[1].request_id
    assert manifest.num_parameters < manifests[1].num_parameters
    again = shlex.split(train_command(manifest, manifest.arms[0], 0))
    assert again[:3] == ["d2v", "train", str(recipe)]
    rebuilt = shlex.split(report_command(manifest))
    assert rebuilt[rebuilt.index("--recipe") + 1] == str(recipe)


def test_a_shipped_recipe_by_name_is_its_modality_and_scale(recipe: Path) -> None:
    shown = plan("--recipe", "text-smoke")
    assert "text" in shown
    assert "smoke" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "absent.yaml"], "absent.yaml"),
        (["--recipe", "tiny one.yaml", "--scale", "smoke"], "without --scale"),
        (["--recipe", "tiny one.yaml", "--modality", "text"], "asked for, text"),
        (["--recipe", "no modality.yaml"], "modality: must be one of"),
        (["--recipe", "wrong.yaml"], "wrong.yaml:1:.*target.top_k"),
    ],
)
def test_a_recipe_that_is_none_is_told_with_its_place(
    recipe: Path, words: list[str], said: str
) -> None:
    Path("no modality.yaml").write_text("seed: 1")
    Path("wrong.yaml").write_text(json.dumps(RECIPE | {"target": {"top_k": -1}}))
    with pytest.raises(ConfigError, match=said):
        plan(*words)


def test_a_share_of_a_gpu_is_reserved(recipe: Path) -> None:
    shown = plan("--recipe", recipe.name, "--gpu-share", "0.25")
    assert "--gpu-share 0.25" in shown
    with pytest.raises(ConfigError, match="execution.num_gpus"):
        plan("--gpu-share", "-1")


def test_a_gpu_that_nobody_uses_is_named_with_what_to_type(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sweeps.plan.resources.this_machine", lambda: Node("", "here", 8.0, 2.0)
    )
    said = "this machine has 2 GPUs and the trials reserve none"
    idle = RECIPE | {"execution": {**RECIPE["execution"], "device": "auto"}}
    recipe.write_text(json.dumps(idle))
    assert said in " ".join(plan("--recipe", recipe.name).split())
    used = plan("--recipe", recipe.name, "--gpu-share", "0.5")
    assert said not in " ".join(used.split())
