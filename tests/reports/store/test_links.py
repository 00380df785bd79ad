from __future__ import annotations

import json
import shlex

import pytest

from ablations.identity import trial_key
from ablations.library import load_study, study_names
from ablations.study.arms import Request
from d2v_cli.recipe import resolve_recipe
from reports.store.links import (
    as_yaml,
    run_address,
    train_command,
    web_address,
)
from sweeps.plan.planning import make_manifest, plan_study


def test_addresses_exist_only_where_the_store_is_served_and_hide_passwords():
    address = run_address("http://me:secret@host:5000/mlflow/", "7", "abc")
    classic = "?workflowType=machine_learning"  # not the pages for language models
    assert address == f"http://host:5000/mlflow/#/experiments/7/runs/abc{classic}"
    local = run_address("sqlite:///mlflow.db", "7", "abc")
    assert local == f"http://127.0.0.1:5000/#/experiments/7/runs/abc{classic}"
    assert run_address("http://host", "", "") is None
    assert web_address("https://host", "/x") == "https://host/#/x"


@pytest.mark.parametrize(
    "value", ["word", "1e-3", "true", "null", "a: b", "a, b", "", 1, 0.5, None, True]
)
def test_a_setting_survives_the_command_line(value):
    from ablations.layers import parse_assignments

    assert parse_assignments([f"a={as_yaml(value)}"]) == {"a": value}


QUICK = {"first_look", "target_norm"}


@pytest.mark.parametrize(
    "study",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.thorough)
        for name in study_names()
    ],
)
def test_the_command_trains_exactly_the_planned_trial(study: str):
    """Every arm of every shipped study, with a setting of the user's on top."""
    modality = next(iter(load_study(study).metric))
    assignments = ("training.num_steps=17",)
    plan = plan_study(study, Request(modality, "smoke", assignments, seeds=(0, 3)))
    manifest = make_manifest(plan, "d2v run")
    arms = {arm.label: arm for arm in manifest.arms}
    assert len(plan.cells) > 2
    for cell in plan.cells:
        command = train_command(manifest, arms[cell.arm.label], cell.seed)
        words = shlex.split(command)
        assert words[:3] == ["d2v", "train", f"{modality}-smoke"]
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        trial = resolve_recipe(
            words[2],
            seed=int(words[4]),
            assignments=tuple(settings),
            data_root=None,
        )
        assert trial_key(trial, "digest") == trial_key(cell.trial, "digest"), command


def test_a_data_root_is_part_of_the_command():
    from tests.reports.stores import make_manifest as small

    manifest = small("rooted")
    base = {**manifest.base, "data": {"source": "folder", "root": "/data/my images"}}
    manifest = manifest.model_copy(update={"base": base})
    command = train_command(manifest, manifest.arms[0], 1)
    assert "--data-root '/data/my images'" in command
    assert json.dumps(command)
