"""Do two sources name the same best arm?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reports.statistics.inference import Floats, Values, paired_differences, t_interval
from reports.statistics.ranks import order_of


@dataclass(frozen=True)
class BestArm:
    """The best arms of two sources, and how far they are apart.

    Attributes:
        ours: Best by our means.
        theirs: Best by the reference, among the arms both have.
        distance: Places between the reference's best arm and the top of our order.
        difference: Ours minus theirs, by seed; empty when they are the same arm.
    """

    ours: str
    theirs: str
    distance: int
    difference: Floats

    @property
    def is_close(self) -> bool | None:
        """Same arm, or the 95 % interval of their difference contains 0.

        None where fewer than two common seeds give no interval.
        """
        if self.ours == self.theirs:
            return True
        interval = t_interval(self.difference)
        return None if interval is None else interval.low <= 0.0 <= interval.high


def best_arm(
    values: Mapping[str, Values],
    reference: Mapping[str, float],
    tolerance: float = 0.0,
) -> BestArm | None:
    """Compare best arms; both sides are given so that higher is better.

    Of the arms that the reference's reading error does not tell from its best, the one
    that is best here counts as the reference's.
    """
    arms = [arm for arm in values if arm in reference and values[arm]]
    if len(arms) < 2:
        return None
    means = {arm: float(np.mean(list(values[arm].values()))) for arm in arms}
    ours = max(arms, key=lambda arm: means[arm])
    top = max(reference[arm] for arm in arms)
    tied = [arm for arm in arms if not order_of([top, reference[arm]], tolerance).any()]
    theirs = max(tied, key=lambda arm: means[arm])
    distance = sum(means[arm] > means[theirs] for arm in arms)
    same = ours == theirs
    difference = (
        np.empty(0) if same else paired_differences(values[ours], values[theirs])
    )
    return BestArm(ours, theirs, distance, difference)
