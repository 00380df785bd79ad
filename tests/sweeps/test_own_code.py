"""A study of the user's own code: in workers, in the key, in the table; refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from tests.d2v_cli.test_bad_input import assert_refused
from tests.sweeps.command import TINY, Here, d2v

NORM = """
from pathlib import Path
import torch

def squashed(features, real):
    {note}
    return torch.tanh({factor} * features)
"""
METRIC = """
def spread(features, labels):
    return features.std()
"""
STUDY = """
name: own_code
title: Squashed targets
set:
  evaluation.metrics: ["mine/metric.py:spread"]
  health.min_target_std: 0.0
  health.min_prediction_std: 0.0
axis:
  setting: target.layer_norm
  label: norm
  values:
    - layer
    - mine/norm.py:squashed
baseline: norm=layer
seeds: 1
metric:
  vision: {name: eval/own_spread, title: spread of features, higher_is_better: true}
"""
COMMAND = ("run", "given/own.yaml", *TINY)


def written(folder: Path, factor: float = 0.5, note: str = "pass") -> None:
    mine = folder / "given" / "mine"
    mine.mkdir(parents=True, exist_ok=True)
    (mine / "norm.py").write_text(NORM.format(factor=factor, note=note))
    (mine / "metric.py").write_text(METRIC)
    (folder / "given" / "own.yaml").write_text(STUDY)


def table(folder: Path) -> str:
    (file,) = (folder / "d2v-runs" / "reports").glob("own_code*/table.md")
    return file.read_text()


@pytest.mark.long
@pytest.mark.thorough
def test_it_runs_in_workers_and_its_key_follows_its_source(tmp_path: Path) -> None:
    written(tmp_path)
    first = d2v(tmp_path, *COMMAND)
    assert first.code == 0, first.out + first.err
    assert "2 trials trained (2 finished)" in first.out
    assert "spread of features" in table(tmp_path)
    assert "| norm=mine/norm.py:squashed | 1/1 |" in table(tmp_path)

    client = MlflowClient(f"sqlite:///{tmp_path}/d2v-runs/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, "tags.`d2v.role` = 'trial'")
    by_arm = {run.data.tags["d2v.arm"]: run for run in found}
    own = by_arm["norm=mine/norm.py:squashed"]
    assert own.data.params["target.layer_norm"].startswith("norm.py:squashed@")
    assert not any(name.startswith("sources") for name in own.data.params)
    config = json.loads(load_text(f"{own.info.artifact_uri}/config.json"))
    assert NORM.format(factor=0.5, note="pass") in config["sources"].values()

    written(tmp_path, factor=0.25)
    edited = d2v(tmp_path, *COMMAND)
    assert edited.code == 0, edited.out + edited.err
    assert re.search(r"1 trials? trained \(1 finished\), 1 cached", edited.out)
    # A report runs nothing of it, and needs no file of it.
    written(tmp_path, note="Path('ran').touch()")
    (tmp_path / "given" / "mine" / "norm.py").unlink()
    report = d2v(tmp_path, "report", "given/own.yaml", *TINY)
    assert report.code == 0, report.out + report.err
    assert "| norm=mine/norm.py:squashed | 1/1 |" in table(tmp_path)
    assert not list(tmp_path.rglob("ran"))


def test_a_wrong_function_is_told_with_its_line_before_anything_starts(
    tmp_path: Path, here: Here
) -> None:
    written(tmp_path)
    norm = tmp_path / "given" / "mine" / "norm.py"
    norm.write_text("def squashed(features): return features\n")
    wanted = "given/own.yaml:11:3: ", "target.layer_norm: must be a target normalis"
    for verb in (("plan", "given/own.yaml"), COMMAND):
        assert_refused(here(tmp_path, *verb), tmp_path, *wanted)
    norm.unlink()
    missing = f"must name a Python file; {norm}: No such file"
    assert_refused(here(tmp_path, *COMMAND), tmp_path, "given/own.yaml:11:3: ", missing)
    written(tmp_path)
    metric = tmp_path / "given" / "mine" / "metric.py"
    metric.write_text("def spread(features, labels): return 'wide'\n")
    wanted = (
        "given/own.yaml:5:3: study own_code: set: evaluation.metrics: must be a metric"
    )
    assert_refused(here(tmp_path, "plan", "given/own.yaml"), tmp_path, wanted)
