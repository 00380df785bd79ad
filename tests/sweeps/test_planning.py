"""What is trained: every trial once, seeds first."""

from __future__ import annotations

import pytest

from ablations.arms import Request
from ablations.library import study_names
from ablations.record import Manifest
from d2v_core.errors import DataError
from sweeps.planning import (
    make_manifest,
    plan_study,
    request_id,
    seed_warning,
    unique_trials,
)

SMOKE = Request("vision", "smoke")


def test_studies_share_the_trials_they_have_in_common() -> None:
    plans = [plan_study(n, Request("vision", "smoke")) for n in study_names()]
    cells = sum(len(plan.cells) for plan in plans)
    # The recipe itself (K=3, instance norm, FFN, smooth L1 with beta 2, block masks of
    # 60 %, tau 0.99 to 0.999) stands in nine of ten tables, and so does untrained:
    # eight cells of each are saved for every seed; two of the collapse grid stand in
    # tau_schedule, and two tables have the supervised arm.
    assert cells - len(unique_trials(plans)) == (8 + 8 + 2 + 1) * 5


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


def test_a_request_is_the_same_whatever_its_seeds_and_places() -> None:
    same = Request("vision", "smoke", seeds=(7,), data_root="/elsewhere")
    assert request_id("loss", same) == request_id("loss", SMOKE)
    other = Request("vision", "smoke", assignments=("target.top_k=2",))
    assert request_id("loss", other) != request_id("loss", SMOKE)


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
    assert len(unique_trials([plan])) == len(plan.cells) == 14 * 5
    assert plan_study("loss", SMOKE, require_data=False).data_problem == ""


def test_keys_do_not_depend_on_whether_the_data_had_to_be_there() -> None:
    required = plan_study("loss", SMOKE)
    lenient = plan_study("loss", SMOKE, require_data=False)
    assert [c.key for c in lenient.cells] == [c.key for c in required.cells]
