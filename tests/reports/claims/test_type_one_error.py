"""How often chance alone gives a verdict, for every rule, with scores in steps too.

Thorough tests simulate :data:`STUDIES` studies each; more take
``D2V_SIMULATED_STUDIES=1000 pytest tests/reports/claims -m thorough -s`` (and an hour).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from reports.claims import rank_rules
from reports.statistics import ranks
from tests.reports.claims.test_verdicts import Cell, judge

ALPHA = 0.05
Arms = dict[str, list[Cell]]
BASE = 60.0
STUDIES = int(os.environ.get("D2V_SIMULATED_STUDIES", "200"))


@dataclass(frozen=True)
class Setting:
    """How scores are drawn.

    Attributes:
        seeds: How many.
        step: Scores are multiples of it, as accuracies are of 1 / N.
        spread: Standard deviation of a score around its seed's level.
    """

    seeds: int
    step: float = 1e-9
    spread: float = 1.0

    def arms(self, generator: np.random.Generator, **levels: float) -> Arms:
        """Arms at these levels, with seeds that differ by more than the arms do."""
        shared = BASE + generator.normal(0.0, 2.0, self.seeds)
        # The seeds' own levels are in steps: differences between arms stay symmetric.
        shared = self._rounded(shared)
        return {
            name.replace("_", "="): (
                shared
                + level
                + self._rounded(generator.normal(0.0, self.spread, self.seeds))
            ).tolist()
            for name, level in levels.items()
        }

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        return np.round(values / self.step) * self.step


LEVELS = {"K_1": 0.0, "K_2": 0.0, "K_3": 0.0, "K_4": 0.0}


def alike_arms(setting: Setting, generator: np.random.Generator) -> Arms:
    return setting.arms(generator, **LEVELS)


def at_the_margin(setting: Setting, generator: np.random.Generator) -> Arms:
    return setting.arms(generator, K_1=0.0, K_2=1.0)


def all_at_the_margin(setting: Setting, generator: np.random.Generator) -> Arms:
    return setting.arms(generator, K_1=0.0, K_2=1.0, K_3=1.0)


def coins(setting: Setting, generator: np.random.Generator) -> Arms:
    thrown = generator.random(setting.seeds) < 0.5
    return {"K=1": ["collapsed" if tails else 50.0 for tails in thrown]}


Draw = Callable[[Setting, np.random.Generator], Arms]
Errors = tuple[tuple[str, ...], ...]
TWO_SIDED: Errors = (("supported", "contradicted"),)
EACH: Errors = (("supported",), ("contradicted",))
"""At its margin a claim of equivalence errs in two ways, each with a level of its own:
5 % false support (two one-sided tests), 2.5 % false contradiction. Together they came
to 6.9 % of 6,000 studies of 12 seeds."""
CASES: dict[str, tuple[dict[str, object], Draw, Errors]] = {
    "better": (
        {"kind": "better", "arm": "K=2", "than": "K=1"},
        alike_arms,
        TWO_SIDED,
    ),
    "better by a margin": (
        {"kind": "better", "arm": "K=2", "than": "K=1", "by": 1.0},
        at_the_margin,
        TWO_SIDED,
    ),
    "any is better": (
        {"kind": "better", "arm": None, "than": "K=1"},
        alike_arms,
        TWO_SIDED,
    ),
    "nearly best": (
        {"kind": "nearly_best", "arm": "K=1", "within": 1.0},
        all_at_the_margin,
        TWO_SIDED,
    ),
    "alike": ({"kind": "alike", "within": 1.0}, at_the_margin, EACH),
    "all alike": ({"kind": "alike", "within": 1.0}, all_at_the_margin, EACH),
    "trend": ({"kind": "trend"}, alike_arms, TWO_SIDED),
    "like paper": ({"kind": "like_paper"}, alike_arms, TWO_SIDED),
    "collapses": ({"kind": "collapses", "arm": "K=1"}, coins, TWO_SIDED),
}
"""Rule, arms on the border of what it claims, and the verdicts that are then errors,
in groups that are judged apart."""


def error_rates(
    name: str, setting: Setting, repeats: int, monkeypatch: pytest.MonkeyPatch
) -> float:
    """The share of false verdicts, of the group that errs most."""
    monkeypatch.setattr(rank_rules, "seeds_to_order", lambda *_: None)  # takes longest
    monkeypatch.setattr(ranks, "NUM_RANK_RESAMPLES", 299)
    rule, draw, errors = CASES[name]
    generator = np.random.default_rng(setting.seeds)
    verdicts = [judge(rule, draw(setting, generator)).verdict for _ in range(repeats)]
    counts = [sum(verdict in group for verdict in verdicts) for group in errors]
    return max(counts) / repeats


def limit(repeats: int) -> float:
    return ALPHA + 2.6 * np.sqrt(ALPHA * (1.0 - ALPHA) / repeats)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("setting", [Setting(2, 0.5, 0.3), Setting(6, 0.5)], ids=str)
def test_chance_alone_decides_at_most_as_often_as_promised(name, setting, monkeypatch):
    rate = error_rates(name, setting, 120, monkeypatch)
    assert rate <= limit(120), rate


SETTINGS = [
    Setting(seeds, step, spread)
    for i, seeds in enumerate([2, 3, 5, 6, 8, 12])
    for j, spread in enumerate([0.3, 1.0])
    for step in [[1e-9, 0.25, 1.0][(i + j) % 3]]
]
"""Every pair of seeds, step and spread; all threes would be three times as many."""


def test_every_pair_of_a_setting_is_among_them():
    pairs = {(s.seeds, s.spread) for s in SETTINGS}
    pairs |= {(s.step, s.spread) for s in SETTINGS}
    assert len(pairs) == 6 * 2 + 3 * 2


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_in_every_setting(name, setting, monkeypatch):
    rate = error_rates(name, setting, STUDIES, monkeypatch)
    assert rate <= limit(STUDIES), rate


@pytest.mark.parametrize("seeds", [2, 3, 4])
@pytest.mark.parametrize("difference", [0.0, 0.5, 5.0])
def test_differences_without_spread_decide_nothing_with_few_seeds(seeds, difference):
    arms = {"K=1": [50.0] * seeds, "K=2": [50.0 + difference] * seeds}
    for name in ("better", "any is better", "nearly best", "alike"):
        found = judge(CASES[name][0], arms)
        assert found.verdict == "undecided", (name, found)
