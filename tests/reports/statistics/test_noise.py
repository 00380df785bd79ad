"""Variance components: recovered from made-up data, and what is said without them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ablations.metrics import Metric
from reports.statistics.noise import (
    MAX_DRAWS,
    Noise,
    Unknown,
    draw_differences,
    noise_of,
    pooled,
)
from reports.statistics.study_noise import StudyNoise, difference_noise, study_noise
from reports.statistics.summary import ArmResult, SeedResult, StudyResult

ACCURACY = Metric("linear_accuracy", "linear probe accuracy (%)", True)
SHARED_DRAW_SD, OWN_DRAW_SD, SHARED_SEED_SD, OWN_SEED_SD = 2.0, 0.9, 1.5, 0.8


def made_up(
    generator: np.random.Generator, arms: int, seeds: int, draws: int
) -> dict[str, dict[int, list[float]]]:
    """Scores with known parts; subsets and seeds are in part good or bad for all."""

    def noise(spread: float, *shape: int) -> np.ndarray:
        return spread * generator.standard_normal(shape)

    shared = noise(SHARED_SEED_SD, seeds, 1) + noise(SHARED_DRAW_SD, seeds, draws)
    return {
        f"K={arm}": dict(
            enumerate(
                (
                    60.0
                    + 3.0 * arm
                    + shared
                    + noise(OWN_SEED_SD, seeds, 1)
                    + noise(OWN_DRAW_SD, seeds, draws)
                ).tolist()
            )
        )
        for arm in range(arms)
    }


def result_of(
    draws: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    baseline: str | None = "K=0",
    collapsed: Sequence[tuple[str, int]] = (),
) -> StudyResult:
    arms = [
        ArmResult(
            label,
            label == "untrained",
            tuple(
                SeedResult(
                    seed,
                    "collapsed" if (label, seed) in collapsed else "finished",
                    "",
                    float(np.mean(one)),
                    tuple(one),
                )
                for seed, one in seeds.items()
            ),
            *(None, None, None),
        )
        for label, seeds in draws.items()
    ]
    return StudyResult(ACCURACY, baseline, None, tuple(arms))


def noise_in(result: StudyResult) -> StudyNoise:
    found = study_noise(result)
    assert found is not None
    return found


def known(found: Noise | Unknown | None) -> Noise:
    assert isinstance(found, Noise), found
    return found


def test_known_components_are_recovered():
    """The mean estimate of 500 studies is right within four standard errors."""
    generator = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(500):
        noise = noise_in(result_of(made_up(generator, arms=3, seeds=6, draws=5)))
        for name, row in (
            ("score", noise.scores[1]),
            ("difference", noise.differences[0]),
            ("scores", noise.all_scores),
            ("differences", noise.all_differences),
        ):
            one = known(row.noise if row else None)
            found.setdefault(f"{name}: draw", []).append(one.draw_variance)
            # Before it is cut at 0: the estimate without bias.
            seeds = one.mean_variance - one.draws_variance
            found.setdefault(f"{name}: seed", []).append(seeds)
    score = {
        "draw": SHARED_DRAW_SD**2 + OWN_DRAW_SD**2,
        "seed": SHARED_SEED_SD**2 + OWN_SEED_SD**2,
    }
    difference = {"draw": 2 * OWN_DRAW_SD**2, "seed": 2 * OWN_SEED_SD**2}
    for name, estimates in found.items():
        kind, part = name.split(": ")
        truth = (score if kind.startswith("score") else difference)[part]
        error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
        assert abs(np.mean(estimates) - truth) < 4.0 * error, name
        assert error < 0.1 * truth, name


def test_unequal_numbers_of_draws_leave_the_estimate_right():
    generator = np.random.default_rng(1)
    seeds, draws = [], []
    for _ in range(4_000):
        scores = {
            seed: (generator.standard_normal() + 2 * generator.standard_normal(n))
            for seed, n in enumerate((1, 2, 3, 10))
        }
        one = known(noise_of(scores))
        seeds.append(one.mean_variance - one.draws_variance)
        draws.append(one.draw_variance)
    assert (one.fewest_draws, one.most_draws) == (1, 10)
    for estimates, truth in ((seeds, 1.0), (draws, 4.0)):
        error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
        assert abs(np.mean(estimates) - truth) < 4.0 * error


@pytest.mark.parametrize(("seed_sd", "draw_sd"), [(1.0, 1.0), (0.2, 2.0), (3.0, 1.0)])
def test_the_interval_of_the_share_holds_it_in_95_of_100_cases(seed_sd, draw_sd):
    generator = np.random.default_rng(2)
    truth = draw_sd**2 / 8 / (seed_sd**2 + draw_sd**2 / 8)
    held = 0
    for _ in range(2_000):
        scores = seed_sd * generator.standard_normal((6, 1))
        scores = scores + draw_sd * generator.standard_normal((6, 8))
        interval = known(noise_of(dict(enumerate(scores)))).share_interval()
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
    assert abs(held / 2_000 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2_000)


def test_the_arithmetic_of_equivalent_seeds():
    """Re-derived: half widths by scipy's t, with the seeds' part and the draws'."""
    noise = Noise(12, 10, 10, 0.1, 9.0, 1.9, 11, 108)
    assert noise.seed_variance == pytest.approx(1.0)
    assert noise.draws_share == pytest.approx(0.9 / 1.9)

    def half(n: int, num_draws: int) -> float:
        spread = math.sqrt(1.0 + 9.0 / num_draws)
        return float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)

    assert noise.half_width() == pytest.approx(half(12, 10))
    assert noise.half_width(24) == pytest.approx(half(24, 10))
    assert noise.half_width(None, 30) == pytest.approx(half(12, 30))
    assert noise.shrinkage(30) == pytest.approx(math.sqrt(1.3 / 1.9))
    assert half(10, 30) <= half(12, 10) < half(9, 30)
    assert noise.equivalent_seeds(30) == 10
    assert noise.equivalent_seeds(10) == 12
    assert noise.more_draws == 30


def test_draws_that_explain_more_than_there_is_leave_nothing_to_the_seeds():
    scores = {0: [0.0, 10.0], 1: [10.1, 0.1], 2: [5.0, 5.2]}
    noise = known(noise_of(scores))
    assert noise.mean_variance < noise.draws_variance
    assert (noise.seed_variance, noise.draws_share) == (0.0, 1.0)
    assert noise.shrinkage(8) == pytest.approx(0.5)
    assert noise.half_width(None, 8) == pytest.approx(noise.half_width() / 2)
    interval = noise.share_interval()
    assert interval is not None
    assert interval[1] == 1.0


def test_what_does_not_vary_has_no_share():
    noise = known(noise_of(dict.fromkeys(range(3), [1.0, 1.0])))
    assert (noise.draws_share, noise.share_interval()) == (None, None)
    assert (noise.shrinkage(30), noise.half_width()) == (1.0, 0.0)
    assert noise.equivalent_seeds(30) == 2
    seeds_alone = known(noise_of({0: [1.0, 1.0], 1: [2.0, 2.0], 2: [2.0, 2.0]}))
    assert (seeds_alone.draws_share, seeds_alone.share_interval()) == (0.0, None)


@pytest.mark.parametrize(
    ("draws", "reason"),
    [
        ({}, "no label draws"),
        ({0: []}, "no label draws"),
        ({0: [1.0], 1: [2.0]}, "one label draw"),
        ({0: [1.0, 2.0], 1: []}, "one seed"),
        ({0: [1.0, 2.0], 1: [2.0, 3.0]}, "2 seeds"),
    ],
)
def test_unknown_is_said(draws, reason):
    assert noise_of(draws) == Unknown(reason)
    assert pooled([noise_of(draws)]) == Unknown(reason)


def test_at_most_a_hundred_draws_are_planned_with():
    def planned(draws: int) -> int | None:
        return Noise(3, draws, draws, 1 / draws, 1.0, 1.0, 2, 3).more_draws

    assert [planned(n) for n in (2, 10, 50, MAX_DRAWS)] == [10, 30, 100, None]


def test_pairs_with_unequal_draws_missing_seeds_and_collapses_are_left_out():
    draws = {
        "K=0": {0: [1.0, 2.0], 1: [1.0, 3.0], 2: [2.0, 2.0], 3: [1.0, 1.0]},
        "K=1": {0: [2.0, 2.0], 1: [3.0], 2: [4.0, 5.0], 4: [1.0, 2.0]},
    }
    assert draw_differences(draws["K=1"], draws["K=0"]) == {
        0: [1.0, 0.0],
        2: [2.0, 3.0],
    }
    result = result_of(draws, collapsed=[("K=1", 2)])
    [row] = noise_in(result).differences
    assert (row.noise, row.left_out) == (Unknown("one seed"), 2)
    assert difference_noise(result.arms[1], result.arms[0]) == Unknown("one seed")


def test_references_are_not_pooled_unless_there_is_nothing_else():
    generator = np.random.default_rng(3)
    draws = made_up(generator, arms=3, seeds=4, draws=3)
    alone = noise_in(result_of({**draws, "untrained": draws["K=1"]}))
    assert known(alone.all_scores.noise).num_pooled == 3
    assert known(alone.all_differences and alone.all_differences.noise).num_pooled == 2
    two = noise_in(result_of({"K=0": draws["K=0"], "untrained": draws["K=1"]}))
    assert two.headline == two.differences[0]
    plain = noise_in(result_of(draws, baseline=None))
    assert (plain.differences, plain.headline.other) == ((), "")


def test_a_study_that_does_not_tell_of_draws_has_no_noise():
    assert study_noise(result_of({"K=0": {}, "K=1": {}})) is None


numbers = st.floats(-100.0, 100.0, allow_nan=False)
scores = st.lists(st.lists(numbers, min_size=1, max_size=5), min_size=1, max_size=5)


@given(scores, st.integers(1, 100))
def test_properties(table: list[list[float]], num_draws: int):
    found = noise_of(dict(enumerate(table)))
    if isinstance(found, Unknown):
        assert len(table) < 3 or max(map(len, table)) < 2
        return
    assert found.seed_variance >= 0.0
    share = found.draws_share
    assert share is None or 0.0 <= share <= 1.0
    if (interval := found.share_interval()) is not None:
        assert 0.0 <= interval[0] <= interval[1] <= 1.0
    if num_draws >= found.most_draws:
        assert found.shrinkage(num_draws) <= 1.0 + 1e-12
    equal = found.equivalent_seeds(num_draws)
    assert 2 <= equal <= found.num_seeds
    moved = noise_of({s: [x + 7.0 for x in one] for s, one in enumerate(table)})
    assert known(moved).draw_variance == pytest.approx(found.draw_variance, abs=1e-6)
    assert known(moved).mean_variance == pytest.approx(found.mean_variance, abs=1e-6)
