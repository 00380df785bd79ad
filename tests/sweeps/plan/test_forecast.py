"""``d2v plan``: priced without training, with or without the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeps.plan import forecast as forecast_module
from tests.sweeps.command import TINY, Done, d2v_here

Plan = Callable[..., Done]


@pytest.fixture
def plan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Plan:
    """Runs ``d2v plan`` here; it must succeed and write nothing."""

    def run(*arguments: str) -> Done:
        done = d2v_here(
            tmp_path, "plan", *arguments, monkeypatch=monkeypatch, capsys=capsys
        )
        assert done.code == 0, done.out + done.err
        assert list(tmp_path.rglob("*")) == []
        return done

    return run


@pytest.fixture
def no_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(trial: Any) -> float:
        raise AssertionError("something was trained")

    monkeypatch.setattr(forecast_module, "pilot_seconds", refuse)


@pytest.mark.usefixtures("no_pilot")
@pytest.mark.parametrize("root", [(), ("--data-root", "/nowhere")])
def test_the_papers_study_is_priced_without_its_data(
    plan: Plan, root: tuple[str, ...]
) -> None:
    out = plan("layer_averaging", "--scale", "paper", *root).out
    assert "112 cells, 112 unique trials, 0 cached, 112 to train" in out
    assert (
        "the data is not here, so keys are unknown and nothing counts as cached: "
        "data.root: "
    ) in out
    assert "85.7 M parameters, 1.4e20 FLOPs, about 101 GPU-hours on one H200" in out
    assert "40 % of its bfloat16 peak" in out
    assert "GiB at batch 2048" in out
    assert "all 112 trainings: about " in out


def test_some_arms_alone_are_priced(plan: Plan) -> None:
    arms = ("--arm", "K=1", "--arm", "untrained")
    out = plan("layer_averaging", "--seeds", "2", *arms, *TINY).out
    assert "4 cells, 4 unique trials, 0 cached, 4 to train" in out
    assert "--arm K=1 --arm untrained" in out.splitlines()[-1]


@pytest.mark.usefixtures("no_pilot")
def test_json_prices_every_trial_and_has_no_keys_without_data(plan: Plan) -> None:
    found = json.loads(plan("loss", "--scale", "paper", "--json").out)
    assert found["estimated_seconds"] is None
    assert found["estimate_from"] == "counted operations"
    assert found["gpu_hours_assume"] == "one H200 at 40 % of its bfloat16 peak"
    assert len(found["data_problems"]) == 1
    total = sum(trial["gpu_hours"] for trial in found["trials"])
    assert found["gpu_hours"] == pytest.approx(total)
    for trial in found["trials"]:
        assert trial["key"] is None
        assert trial["estimated_seconds"] is None
        assert not trial["cached"]
        assert trial["parameters"] == 85_666_128
        untrained = trial["arm"] == "untrained"
        assert (trial["flops"] == 0) == untrained
        assert trial["memory_gib"] > 1


def test_a_small_study_is_timed_here_too(plan: Plan) -> None:
    found = json.loads(plan("loss", "--seeds", "1", *TINY, "--json").out)
    assert found["estimate_from"] == "a pilot of 6 updates on this machine"
    assert found["estimated_seconds"] > 0
    assert found["data_problems"] == []
    assert all(len(trial["key"]) == 16 for trial in found["trials"])
    assert all(trial["estimated_seconds"] > 0 for trial in found["trials"])
    assert all(0 < trial["memory_gib"] < 0.1 for trial in found["trials"])


@pytest.mark.usefixtures("no_pilot")
def test_a_study_too_large_for_a_pilot_is_only_counted(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_module, "MAX_PILOT_FLOPS", {"cpu": 1e6, "cuda": 1e6})
    out = plan("loss", "--seeds", "1").out
    assert "how long this machine takes is known once one has finished" in out
    assert "under 0.1 GPU-hours" in out
    assert "the data is not here" not in out
