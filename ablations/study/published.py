"""Which of the paper's numbers stands beside which arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ablations.study.arms import Arm
from ablations.study.axis import Axis, FractionsOfDepth
from ablations.study.fields import Published, Reading
from ablations.study.schema import Study


@dataclass(frozen=True)
class PaperValue:
    """One number of the paper.

    Attributes:
        value: As the paper has it, in its own unit.
        at: The paper's own arm, ``K=3`` (of 12 layers).
        source: Read from text, or digitised from a figure.
        tolerance: Half-width of the reading error, for digitised values.
    """

    value: float
    at: str
    source: Reading
    tolerance: float | None


def match_published(
    study: Study, modality: str, arms: Sequence[Arm], depth: int
) -> dict[str, PaperValue]:
    """The paper's value of each arm that has one, by arm label.

    Arms match by name, values of a single axis by value. On an axis of fractions of the
    depth the paper's point at the nearest fraction is taken, except at the ends: one
    layer stands beside one layer, all layers beside all.
    """
    published = study.published.get(modality)
    if published is None:
        return {}
    matched = {}
    for arm in arms:
        key = _paper_key(study.axis, published, arm, depth)
        if key is not None:
            label = f"{study.axis.label}={key}" if study.axis else str(key)
            matched[arm.label] = PaperValue(
                published.values[key], label, published.source, published.tolerance
            )
    return matched


def _paper_key(
    axis: Axis | None, published: Published, arm: Arm, depth: int
) -> str | int | float | None:
    if axis is None or arm.is_reference or arm.value is None:
        return arm.label if arm.label in published.values else None
    if not isinstance(axis.values, FractionsOfDepth) or not isinstance(arm.value, int):
        value = arm.value
        return (
            value if not isinstance(value, bool) and value in published.values else None
        )
    keys = sorted(key for key in published.values if isinstance(key, int))
    if not keys:
        return None
    if arm.value == 1:
        return keys[0]
    paper_depth = keys[-1]
    wanted = Fraction(arm.value, depth)
    return min(keys, key=lambda key: abs(Fraction(key, paper_depth) - wanted))
