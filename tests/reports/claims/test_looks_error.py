"""How often chance alone decides at any of the looks, and how often an effect does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from ablations.record import Manifest
from reports.claims import collapse_rule, rank_rules
from reports.claims.verdicts import Verdict
from reports.statistics import ranks
from reports.statistics.spending import crossing_chance, planned_looks
from tests.reports.claims.test_type_one_error import (
    CASES,
    STUDIES,
    Arms,
    Setting,
    limit,
)
from tests.reports.claims.test_verdicts import judge
from tests.reports.stores import make_manifest

LOOKS = planned_looks(20)


def manifest_with(looks: tuple[int, ...]) -> Manifest:
    manifest = make_manifest("judged", ks=(1, 2, 3, 4))
    return manifest.model_copy(update={"looks": looks})


def looked_at(rule: Mapping[str, object], arms: Arms) -> Verdict:
    return judge(rule, arms, manifest=manifest_with(LOOKS))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the planner, and with fewer resamples, as without looks."""
    monkeypatch.setattr(rank_rules, "seeds_to_order", lambda *_: None)
    monkeypatch.setattr(collapse_rule, "_share_seeds", lambda *_: None)
    monkeypatch.setattr(ranks, "NUM_RANK_RESAMPLES", 299)


def error_rate(name: str, setting: Setting, repeats: int) -> float:
    """The share of false verdicts, of the group that errs most."""
    rule, draw, errors = CASES[name]
    generator = np.random.default_rng(11)
    found = [looked_at(rule, draw(setting, generator)).verdict for _ in range(repeats)]
    return max(sum(one in group for one in found) for group in errors) / repeats


@pytest.mark.parametrize("name", CASES)
def test_chance_decides_over_all_looks_at_most_as_often_as_promised(name):
    rate = error_rate(name, Setting(20, 0.5), 100)
    assert rate <= limit(100), rate


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("setting", [Setting(20), Setting(20, 0.5, 0.3)], ids=str)
def test_in_more_studies(name, setting):
    rate = error_rate(name, setting, STUDIES)
    print(f"error {name}, {setting}: {100 * rate:.1f} % of {STUDIES}")  # noqa: T201
    assert rate <= limit(STUDIES), rate


def test_the_same_looks_at_0_05_each_would_be_wrong_too_often():
    """Why levels are spent: a hundred studies are enough to see it."""
    rule, draw, _ = CASES["better"]
    generator = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        arms = draw(Setting(20), generator)
        wrong += any(
            judge(rule, {arm: v[:look] for arm, v in arms.items()}).verdict
            != "undecided"
            for look in LOOKS
        )
    assert wrong / 300 > 0.08
    assert crossing_chance(LOOKS, [1.96] * 4) == pytest.approx(0.11, abs=0.01)


def power(effect: float, repeats: int) -> tuple[float, float, float]:
    """Share decided with looks, seeds used on average, share decided once at 20."""
    rule = {"kind": "better", "arm": "K=2", "than": "K=1"}
    generator = np.random.default_rng(7)
    decided, seeds, once = 0, 0, 0
    for _ in range(repeats):
        # A paired difference of two arms with spread 1 has spread sqrt(2).
        levels = {"K_1": 0.0, "K_2": effect * 2**0.5}
        arms = Setting(20).arms(generator, **levels)
        found = looked_at(rule, arms)
        decided += found.verdict == "supported"
        seeds += found.look
        once += judge(rule, arms).verdict == "supported"
    return decided / repeats, seeds / repeats, once / repeats


def test_looks_cost_little_power_and_save_seeds():
    """At mean/sd of the paired difference 1: nearly always decided, mostly early."""
    decided, seeds, once = power(1.0, 150)
    assert decided > 0.9
    assert seeds < 13
    assert once >= decided - 0.05


@pytest.mark.thorough
@pytest.mark.parametrize("effect", [0.5, 0.7, 0.9, 1.2, 1.6])
def test_power(effect):
    decided, seeds, once = power(effect, STUDIES)
    print(  # noqa: T201
        f"power at {effect}: {100 * decided:.0f} % with {seeds:.1f} seeds, "
        f"{100 * once:.0f} % with one test at 20"
    )
    # A study in eight is decided by one of both alone: so much is chance.
    assert once - decided < 0.12 + 2.6 * (0.125 / STUDIES) ** 0.5
