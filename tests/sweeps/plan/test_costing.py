"""What counted operations mean for people."""

from __future__ import annotations

import pytest

from ablations.mlflow_names import FLOPS_METRIC
from ablations.record import Record, Status
from d2v_cli.recipe import resolve_recipe
from d2v_core.config import VisionTrial
from d2v_core.costs import TrialCost, estimate_cost
from sweeps.plan.costing import (
    cost_fields,
    cost_line,
    gpu_hours,
    people_bytes,
    people_count,
    people_hours,
    with_flops,
)

COST = TrialCost(
    num_parameters=85_666_128,
    num_updates=1_000,
    batch_size=2048,
    forward_flops=3.5e10,
    update_flops=1.4e17,
    memory_bytes=250.0 * 2**30,
)


def trial(precision: str) -> VisionTrial:
    return VisionTrial.model_validate({"training": {"precision": precision}})


def test_hours_are_operations_over_the_assumed_share_of_the_peak() -> None:
    by_hand = 1.4e20 / (0.4 * 989e12) / 3600
    assert gpu_hours(COST, trial("bfloat16")) == pytest.approx(by_hand)
    slower = gpu_hours(COST, trial("float32"))
    assert slower == pytest.approx(by_hand * 989 / 67)


def test_the_line_says_what_a_trial_costs_on_which_assumption() -> None:
    mixed = trial("bfloat16")
    assert cost_line({"a": (COST, mixed), "b": (COST, mixed)}) == (
        "each trial: 85.7 M parameters, 1.4e20 FLOPs, about 98 GPU-hours on one H200 "
        "at 40 % of its bfloat16 peak, 250 GiB at batch 2048 (one H200 has 131); "
        "evaluation on top"
    )
    cheap = TrialCost(1_000, 10, 32, 1.0, 100.0, 5.0 * 2**20)
    line = cost_line({"a": (cheap, mixed), "b": (COST, mixed)})
    assert line is not None
    assert line.startswith("the costliest trial: 85.7 M parameters")
    assert cost_line({}) is None


def test_json_has_nulls_where_the_cost_cannot_be_told() -> None:
    fields = cost_fields(COST, trial("bfloat16"))
    assert fields["parameters"] == 85_666_128
    assert fields["flops"] == 1.4e20
    assert fields["memory_gib"] == 250
    assert cost_fields(None, trial("float32")) == dict.fromkeys(fields)


@pytest.mark.parametrize(
    ("status", "steps", "counted"),
    [
        *(("finished", 1000, True), ("collapsed", 7, True), ("diverged", 12, True)),
        *(("finished", 0, True), ("failed", 0, False)),
    ],
)
def test_a_record_says_what_its_own_updates_computed(
    status: Status, steps: int, *, counted: bool
) -> None:
    smoke = resolve_recipe("vision-smoke", seed=0, assignments=(), data_root=None)
    metrics = {} if status in ("diverged", "failed") else {"eval/knn_accuracy": 50.0}
    record = Record(
        key="k",
        status=status,
        seed=0,
        steps=steps,
        num_parameters=1,
        metrics=metrics,
        data_name="d",
        data_digest="d",
        environment={},
    )
    cost = estimate_cost(smoke)
    assert cost is not None
    share = steps / smoke.training.num_steps
    own = {FLOPS_METRIC: share * cost.flops} if counted else {}
    assert with_flops(record, smoke).metrics == pytest.approx(metrics | own)


def test_numbers_read_well() -> None:
    assert [people_count(n) for n in (999, 135_552, 85_666_128, 3 * 10**9)] == [
        "999",
        "136 k",
        "85.7 M",
        "3 G",
    ]
    assert [people_bytes(n * 2**20) for n in (9, 500, 5_000, 250_000)] == [
        "9 MiB",
        "0.5 GiB",
        "4.9 GiB",
        "244 GiB",
    ]
    assert people_hours(0.01) == "under 0.1 GPU-hours"
    assert people_hours(2.25) == "about 2.2 GPU-hours"
    assert people_hours(1544) == "about 1,544 GPU-hours"
