from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.statistics.summary import (
    Estimate,
    estimate,
    paired_difference,
    study_result,
)
from tests.reports.stores import ACCURACY, make_manifest


def frame_of(rows: dict[tuple[str, int], float | str]) -> pd.DataFrame:
    """One row per cell; text is a status without a metric."""
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "seed": seed,
                "status": value if isinstance(value, str) else "finished",
                "reason": "",
                ACCURACY: math.nan if isinstance(value, str) else value,
            }
            for (arm, seed), value in rows.items()
        ]
    )


def test_interval_agrees_with_scipys_own():
    values = np.random.default_rng(0).normal(70.0, 2.0, 5)
    ours = estimate(values.tolist())
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert ours is not None
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_interval_of_two_seeds_is_the_textbook_one():
    # t(0.975, 1) = 12.706; the standard error of 1 and 3 is 1.
    assert estimate([1.0, 3.0]) == Estimate(2.0, pytest.approx(12.7062, abs=1e-4), 2)


def test_one_value_has_no_interval_and_none_has_nothing():
    assert estimate([4.0]) == Estimate(4.0, None, 1)
    assert estimate([4.0]).low is None
    assert estimate([]) is None


def test_paired_difference_uses_the_seeds_both_have():
    arm = {0: 5.0, 1: 7.0, 3: 9.0}
    baseline = {0: 1.0, 1: 2.0, 2: 100.0, 3: 3.0}
    ours = paired_difference(arm, baseline)
    theirs = stats.ttest_rel([5.0, 7.0, 9.0], [1.0, 2.0, 3.0])
    interval = theirs.confidence_interval(0.95)
    assert ours.n == 3
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_pairing_removes_what_seeds_share():
    """Constant difference, wildly different seeds: the interval is a point."""
    arm = {0: 11.0, 1: 51.0, 2: 31.0}
    baseline = {seed: value - 1.0 for seed, value in arm.items()}
    assert paired_difference(arm, baseline).half_width == pytest.approx(0.0)
    assert estimate(arm.values()).half_width > 10


def test_study_result_pairs_with_baseline_and_untrained():
    manifest = make_manifest(ks=(1, 2), seeds=2)
    frame = frame_of(
        {
            ("K=1", 0): 60.0,
            ("K=1", 1): 62.0,
            ("K=2", 0): 63.0,
            ("K=2", 1): "failed",
            ("untrained", 0): 40.0,
            ("untrained", 1): 41.0,
            ("supervised", 0): "missing",
            ("supervised", 1): "unfinished",
        }
    )
    result = study_result(frame, manifest)
    arms = {arm.label: arm for arm in result.arms}
    assert (result.baseline, result.untrained) == ("K=1", "untrained")
    assert arms["K=1"].difference is None
    assert arms["K=2"].difference == Estimate(3.0, None, 1)
    assert arms["K=1"].gain.mean == pytest.approx(20.5)
    assert arms["untrained"].gain is None
    assert arms["supervised"].mean is None
    assert arms["supervised"].difference is None


def test_collapsed_counts_failed_does_not_even_with_a_metric():
    manifest = make_manifest(ks=(1,), references=(), seeds=3)
    frame = frame_of({("K=1", 0): 60.0, ("K=1", 1): 20.0, ("K=1", 2): 99.0})
    frame["status"] = ["finished", "collapsed", "failed"]
    arm = study_result(frame, manifest).arms[0]
    assert arm.values == {0: 60.0, 1: 20.0}
    assert arm.num_collapsed == 1


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_finished_trial_without_a_finite_metric_has_no_value(number):
    manifest = make_manifest(ks=(1,), references=(), seeds=1)
    arm = study_result(frame_of({("K=1", 0): number}), manifest).arms[0]
    assert arm.mean is None
    assert arm.seeds[0].reason == "no finite eval/linear_accuracy was logged"


def test_a_baseline_the_study_lacks_gives_no_difference():
    manifest = make_manifest(ks=(2, 3), references=(), seeds=1)
    result = study_result(frame_of({("K=2", 0): 1.0, ("K=3", 0): 2.0}), manifest)
    assert result.baseline is None
    assert [arm.difference for arm in result.arms] == [None, None]
    assert result.untrained is None


def test_untrained_as_baseline_is_not_shown_twice():
    manifest = make_manifest(ks=(1,), references=("untrained",), baseline="untrained")
    frame = frame_of({(c.arm, c.seed): 1.0 for c in manifest.cells})
    result = study_result(frame, manifest)
    assert (result.baseline, result.untrained) == ("untrained", None)
