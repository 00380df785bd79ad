"""Seeds needed with more label draws: by the noise of the comparisons that decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.claims.evidence import NOT_REACHABLE, MoreDraws
from reports.claims.scorecard_formats import claims_csv
from reports.claims.verdicts import Verdict, study_verdicts
from reports.claims.view import JudgedClaim, claim_cells, seeds_text
from reports.statistics.planning import seeds_to_exclude
from tests.reports.statistics.test_noise import result_of
from tests.reports.stores import make_manifest

BETTER = {"kind": "better", "arm": "a", "than": "b"}
Scores = Mapping[str, Sequence[Sequence[float]]]


def judge(scores: Scores, rule: Mapping[str, Any] = BETTER) -> Verdict:
    claim = {"id": "claim", "says": "So it is.", "where": "§1", "test": dict(rule)}
    manifest = make_manifest("judged")
    study = {**manifest.study, "claims": [claim]}
    draws = {arm: dict(enumerate(seeds)) for arm, seeds in scores.items()}
    return study_verdicts(
        result_of(draws, baseline=None), manifest.model_copy(update={"study": study})
    )[0]


def scores(effect: float, draw_sd: float, seed_sd: float, draws: int = 4) -> Scores:
    generator = np.random.default_rng(5)
    within = generator.standard_normal((8, draws))
    within -= within.mean(axis=1, keepdims=True)
    within *= draw_sd / within.std(axis=1, ddof=1, keepdims=True)
    between = generator.standard_normal((8, 1))
    between -= between.mean()
    between *= math.sqrt(seed_sd**2 + draw_sd**2 / draws) / between.std(ddof=1)
    a = 60.0 + effect + between + within
    return {"a": a.tolist(), "b": [[60.0] * draws] * 8}


def test_more_draws_make_the_spread_what_the_seeds_leave():
    """Re-derived: 4 draws of 4.0 beside seeds of 1.0, then 12 draws."""
    found = judge(scores(effect=0.9, draw_sd=4.0, seed_sd=1.0))
    assert found.verdict == "undecided"
    now, then = math.sqrt(1.0 + 16.0 / 4), math.sqrt(1.0 + 16.0 / 12)
    needed = seeds_to_exclude(0.9, now)
    fewer = seeds_to_exclude(0.9, then)
    assert needed is not None
    assert fewer is not None
    assert needed > fewer > 8
    assert found.seeds_needed == needed
    assert found.more_draws == MoreDraws(12, fewer)
    assert seeds_text(found) == f"{needed}; {fewer} with 12 draws"
    assert claim_cells(found)[5] == seeds_text(found)


def test_evaluating_again_may_be_enough():
    found = judge(scores(effect=1.3, draw_sd=4.0, seed_sd=0.1))
    assert found.verdict == "undecided"
    assert found.more_draws == MoreDraws(12, 8)


def test_what_is_not_reachable_may_be_with_more_draws():
    found = judge(scores(effect=0.12, draw_sd=4.0, seed_sd=0.1))
    assert found.seeds_needed == NOT_REACHABLE
    assert found.more_draws is not None
    assert 8 < found.more_draws.seeds < 1_000


@pytest.mark.parametrize(
    "given",
    [
        scores(effect=0.5, draw_sd=0.1, seed_sd=2.0),
        scores(effect=0.5, draw_sd=0.0, seed_sd=2.0, draws=1 + 1),
        {arm: [[s[0]] for s in seeds] for arm, seeds in scores(0.5, 2.0, 2.0).items()},
        {**scores(0.5, 4.0, 1.0), "b": [[60.0]] * 8},
    ],
    ids=["seeds alone", "no spread of draws", "one draw", "unequal draws"],
)
def test_nothing_is_promised_where_draws_save_nothing_or_nobody_knows(given):
    found = judge(given)
    assert found.verdict == "undecided"
    assert found.more_draws is None
    assert seeds_text(found) == str(found.seeds_needed)


def test_a_rule_about_all_arms_needs_the_noise_of_all():
    known = scores(0.9, 4.0, 1.0)
    rule = {"kind": "alike", "arms": ["a", "b"], "within": 2.0}
    assert judge(known, rule).more_draws is not None
    third = {**known, "c": [[60.5 + seed / 10] for seed in range(8)]}
    every = {**rule, "arms": ["a", "b", "c"]}
    assert judge(third, every).more_draws is None


def test_programs_get_both_numbers(tmp_path):
    found = judge(scores(effect=0.9, draw_sd=4.0, seed_sd=1.0))
    settled = judge(scores(effect=9.0, draw_sd=1.0, seed_sd=1.0))
    assert settled.verdict == "supported"
    assert settled.more_draws is None
    path = tmp_path / "claims.csv"
    judged = [JudgedClaim("s", "vision", "smoke", one) for one in (found, settled)]
    path.write_text(claims_csv(judged))
    frame = pd.read_csv(path)
    assert found.more_draws is not None
    assert frame["more_draws"].tolist()[0] == 12
    assert frame["seeds_with_more_draws"].tolist()[0] == found.more_draws.seeds
    assert frame["more_draws"].isna().tolist() == [False, True]
