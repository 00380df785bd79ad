"""What is trained: every trial once, seeds first."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence

import pytest
from rich.console import Console

from ablations.identity import SCHEMA_VERSION
from ablations.library import load_study, study_names
from ablations.record import Manifest, ManifestCell
from ablations.study.arms import Request
from d2v_core.errors import DataError
from sweeps.plan.forecast import Forecast
from sweeps.plan.forecast_view import show_forecast, summary
from sweeps.plan.planning import (
    make_manifest,
    plan_study,
    removed_cells,
    seed_warning,
    unique_trials,
)
from sweeps.planned import StudyPlan, id_of_request

SMOKE = Request("vision", "smoke")
TOTALS = {"vision": (108, 76), "speech": (94, 63), "text": (75, 49)}
"""Cells of all tables for one seed, and the trials they take.

For vision: the recipe itself (K=8, instance norm, FFN, smooth L1 with beta 2, block
masks of 60 %, a horizon of 3 %) stands in all tables but one, and so does untrained;
the first look has its other arm in layer_averaging, two of the collapse grid stand in
tau_schedule, and two tables have the supervised arm.
"""


def forecast_of(
    plans: Sequence[StudyPlan],
    *,
    cached: frozenset[str] = frozenset(),
    removed: Mapping[str, Sequence[ManifestCell]] | None = None,
) -> Forecast:
    """A forecast that prices nothing."""
    return Forecast(
        plans=plans,
        num_cells=sum(len(plan.cells) for plan in plans),
        unique=unique_trials(plans),
        cached=cached,
        kept=frozenset(),
        seconds={},
        costs={},
        basis="",
        num_parallel_trials=1,
        removed=removed or {},
    )


@pytest.mark.parametrize(
    "modality",
    [
        pytest.param(m, marks=[] if m == "text" else pytest.mark.thorough)
        for m in TOTALS
    ],
)
def test_studies_share_the_trials_they_have_in_common(modality: str) -> None:
    request = Request(modality, "smoke", seeds=(0,))
    names = [name for name in study_names() if modality in load_study(name).metric]
    plans = [plan_study(name, request) for name in names]
    cells = sum(len(plan.cells) for plan in plans)
    assert (cells, len(unique_trials(plans))) == TOTALS[modality]


def test_a_shared_trial_is_shown_once_so_that_columns_add_up() -> None:
    request = Request("vision", "smoke", seeds=(0, 1))
    plans = [plan_study(name, request) for name in ("layer_averaging", "loss")]
    unique, num_cells = unique_trials(plans), sum(len(plan.cells) for plan in plans)
    untrained = [key for key, c in unique.items() if c.arm.label == "untrained"]
    result = forecast_of(plans, cached=frozenset(untrained))
    console = Console(width=80, file=io.StringIO(), record=True)
    show_forecast(result, console)
    text = console.export_text()
    cells = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    rows = [row for row in cells if row[0] in ("layer_averaging", "loss")]
    numbers = {(row[0], row[1]): [int(cell) for cell in row[2:7]] for row in rows}
    # seeds, cached, shared, to train, to evaluate
    assert numbers["layer_averaging", "K=8"] == [2, 0, 0, 2, 0]
    assert numbers["layer_averaging", "untrained"] == [2, 2, 0, 0, 0]
    assert numbers["loss", "smooth L1 (2)"] == [2, 0, 2, 0, 0]
    assert numbers["loss", "untrained"] == [2, 0, 2, 0, 0]
    sums = [sum(column) for column in zip(*numbers.values(), strict=True)]
    shared, missing = num_cells - len(unique), len(result.missing)
    assert sums == [num_cells, len(untrained), shared, missing, 0]
    assert "shared: the same trials as in rows above" in text


def test_trials_of_all_studies_run_seed_by_seed() -> None:
    plans = [plan_study(name, SMOKE) for name in ("layer_averaging", "loss")]
    seeds = [cell.seed for cell in unique_trials(plans).values()]
    assert seeds == sorted(seeds)


def test_a_manifest_survives_its_file() -> None:
    plan = plan_study("layer_averaging", SMOKE)
    manifest = make_manifest(plan, "d2v run layer_averaging")
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    differing = {path: (ours, paper) for path, ours, paper in manifest.paper_diff}
    assert differing["target.feature"] == ("ffn", "block")
    assert not any(path.startswith("execution.") for path in differing)


def test_trials_of_an_older_schema_are_named_apart_from_those_an_edit_left() -> None:
    """A study of schema 2, run again today with one seed less."""
    today = plan_study("loss", Request("vision", "smoke", seeds=(0,)))
    two_seeds = plan_study("loss", Request("vision", "smoke", seeds=(0, 1)))
    previous = make_manifest(two_seeds, "d2v run")
    assert {cell.schema_version for cell in previous.cells} == {SCHEMA_VERSION}
    assert len(removed_cells(today, previous)) == len(today.cells)

    written = previous.model_dump(mode="json")
    for cell in written["cells"]:
        del cell["schema_version"]
        cell["key"] = f"older-{cell['key']}"
    old = Manifest.model_validate(written)
    manifest = make_manifest(today, "d2v run", old)
    assert manifest.outdated == old.cells
    left = [*removed_cells(today, previous), *removed_cells(today, old)]
    lines = list(summary(forecast_of([today], removed={"loss": left})))
    older = f"loss: {len(old.cells)} trials of an earlier run stay in the store and are"
    assert (
        sum(
            older in line and f"schema version {SCHEMA_VERSION}" in line
            for line in lines
        )
        == 1
    )
    edited = f"loss: {len(today.cells)} trials of an earlier run stay in the store and"
    assert sum(f"{edited} leave the table" in line for line in lines) == 1


def test_a_request_is_the_same_whatever_its_seeds_and_places() -> None:
    same = Request("vision", "smoke", seeds=(7,), data_root="/elsewhere")
    assert id_of_request("loss", same) == id_of_request("loss", SMOKE)
    other = Request("vision", "smoke", assignments=("target.top_k=2",))
    assert id_of_request("loss", other) != id_of_request("loss", SMOKE)


@pytest.mark.parametrize(
    ("num_seeds", "smallest"), [(1, "1"), (3, "0.25"), (5, "0.0625")]
)
def test_few_seeds_are_warned_of(num_seeds: int, smallest: str) -> None:
    warning = seed_warning(range(num_seeds))
    assert warning is not None
    assert f"the smallest two-sided sign-flip p is {smallest};" in warning


def test_six_seeds_are_enough_for_a_p_below_0_05() -> None:
    assert seed_warning(range(6)) is None


def test_a_plan_without_its_data_says_so_and_still_tells_trials_apart() -> None:
    request = Request("vision", "paper")
    with pytest.raises(DataError, match="no data root was given"):
        plan_study("layer_averaging", request)
    plan = plan_study("layer_averaging", request, require_data=False)
    assert plan.data_problem.startswith("data.root: this recipe reads from disk")
    assert len(unique_trials([plan])) == len(plan.cells) == 14 * 8
    assert plan_study("loss", SMOKE, require_data=False).data_problem == ""


def test_keys_do_not_depend_on_whether_the_data_had_to_be_there() -> None:
    required = plan_study("loss", SMOKE)
    lenient = plan_study("loss", SMOKE, require_data=False)
    assert [c.key for c in lenient.cells] == [c.key for c in required.cells]
