"""Levels of looks against published constants and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from reports.statistics import spending
from reports.statistics.spending import (
    crossing_chance,
    nominal_levels,
    planned_looks,
    pocock_spent,
)


def borders(looks, **options):
    return -special.ndtri(np.array(nominal_levels(tuple(looks), **options)) / 2)


def test_looks_begin_at_eight_and_end_at_the_largest_number():
    assert planned_looks(20) == (8, 12, 16, 20)
    assert planned_looks(8) == (8,)
    assert planned_looks(10) == (8, 10)
    assert planned_looks(7) == ()


@pytest.mark.parametrize(
    ("num_looks", "constant"), [(1, 1.960), (2, 2.178), (3, 2.289), (5, 2.413)]
)
def test_pococks_constants_spend_5_percent(num_looks, constant):
    """Jennison and Turnbull, Group Sequential Methods (2000), Table 2.1."""
    looks = range(1, num_looks + 1)
    chance = crossing_chance(list(looks), [constant] * num_looks)
    assert chance == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(
    ("num_looks", "constant"), [(2, 1.977), (3, 2.004), (5, 2.040)]
)
def test_o_brien_and_flemings_constants_spend_5_percent(num_looks, constant):
    """The same, Table 2.3: borders shrink with the root of the share."""
    looks = list(range(1, num_looks + 1))
    shrinking = [constant * math.sqrt(num_looks / look) for look in looks]
    assert crossing_chance(looks, shrinking) == pytest.approx(0.05, abs=1e-4)


def test_the_borders_of_five_equal_looks_are_the_published_ones():
    """As the program of Reboussin, DeMets, Kim and Lan (2000) prints them."""
    assert borders([1, 2, 3, 4, 5]) == pytest.approx(
        [2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=1e-3
    )

    def o_brien_fleming(share, alpha):
        return 4.0 * special.ndtr(special.ndtri(alpha / 4) / math.sqrt(share))

    assert borders([1, 2, 3, 4, 5], spent=o_brien_fleming) == pytest.approx(
        [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=1e-3
    )


@pytest.mark.parametrize(
    "looks", [(8,), (8, 10), (8, 12, 16, 20), (8, 9, 100), (2, 3, 4)]
)
def test_all_looks_together_have_the_level(looks):
    assert crossing_chance(looks, borders(looks)) == pytest.approx(0.05, abs=1e-9)
    assert nominal_levels(looks)[0] == pytest.approx(pocock_spent(looks[0] / looks[-1]))
    assert all(0.0 < level <= 0.0500001 for level in nominal_levels(looks))


@pytest.mark.parametrize("looks", [(2, 10**9), (10**6, 10**6 + 1), tuple(range(2, 40))])
def test_strange_looks_of_a_store_have_levels_too(looks):
    assert all(0.0 <= level < 0.051 for level in nominal_levels(looks))


def test_more_points_change_nothing(monkeypatch):
    looks = (8, 12, 16, 20)
    before = nominal_levels(looks)
    nominal_levels.cache_clear()
    monkeypatch.setattr(spending, "NODES", 2 * spending.NODES)
    assert nominal_levels(looks) == pytest.approx(before, abs=1e-9)
    nominal_levels.cache_clear()


def test_one_sided_tests_at_these_levels_stay_below_the_whole():
    """By simulation, since equivalence is tested one-sidedly: 200,000 motions."""
    looks = (8, 12, 16, 20)
    steps = np.sqrt(np.diff([0, *looks]))
    sums = np.cumsum(
        np.random.default_rng(3).standard_normal((200_000, 4)) * steps, axis=1
    )
    z = sums / np.sqrt(looks)
    levels = np.array(nominal_levels(looks))
    assert np.mean((z > -special.ndtri(levels)).any(axis=1)) < 0.05
    two_sided = np.mean((np.abs(z) > borders(looks)).any(axis=1))
    assert two_sided == pytest.approx(0.05, abs=0.0015)
