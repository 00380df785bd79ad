"""One study in several modalities: differences to its baseline beside each other.

Metrics differ by modality, so sizes are not compared: what each column says is whether
an arm costs or gains, and how sure that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from d2v_core.config import TRIAL_TYPES
from reports.statistics.summary import StudyResult
from reports.tables.wording import counted, plus_minus
from reports.text import for_markdown

TITLE = "Modalities beside each other"
NO_ARM, NO_RESULT = "–", "no result"
LEAST_COLUMNS = 2


@dataclass(frozen=True)
class SideBySide:
    """The table, ready to be laid out.

    Attributes:
        head: ``arm`` and the modalities.
        rows: An arm each, and its difference in every modality.
        legend: What the numbers are.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: str


def side_by_side(results: Mapping[str, StudyResult]) -> SideBySide | None:
    """Arms against modalities; None where there is nothing to put beside each other.

    There is where modalities have the same baseline and share an arm beside it.

    Args:
        results: Results of one study at one scale, by modality.
    """
    known = {m: results[m] for m in TRIAL_TYPES if m in results}
    baselines = {result.baseline for result in known.values()}
    if len(known) < LEAST_COLUMNS or len(baselines) > 1 or None in baselines:
        return None
    own = [_own_arms(result) for result in known.values()]
    labels = _merged(own)
    if not any(sum(label in arms for arms in own) > 1 for label in labels):
        return None
    (baseline,) = baselines
    metrics = "; ".join(f"{m}: {r.metric.title}" for m, r in known.items())
    return SideBySide(
        head=("arm", *known),
        rows=tuple(
            (label, *(_cell(result, label) for result in known.values()))
            for label in labels
        ),
        legend=(
            f"Difference to {baseline} over the seeds that both have, with its 95 % t "
            f"interval; positive is better in every column, in points of its own "
            f"metric ({metrics}). Signs and intervals can be compared across columns, "
            f"sizes cannot. {NO_ARM}: the modality has no such arm."
        ),
    )


def side_by_side_markdown(table: SideBySide | None) -> str:
    """A section; empty where there is no table."""
    if table is None:
        return ""
    rules = (":---", *["---:"] * (len(table.head) - 1))
    rows = [tuple(map(for_markdown, row)) for row in table.rows]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in (table.head, rules, *rows))
    return "\n\n".join((f"#### {TITLE}", lines, for_markdown(table.legend))) + "\n"


def _own_arms(result: StudyResult) -> list[str]:
    return [
        arm.label
        for arm in result.arms
        if not arm.is_reference and arm.label != result.baseline
    ]


def _merged(lists: Sequence[Sequence[str]]) -> list[str]:
    """All labels once; what only a later list has stands behind its neighbour there."""
    merged: list[str] = []
    for labels in lists:
        place = 0
        for label in labels:
            if label in merged:
                place = merged.index(label) + 1
            else:
                merged.insert(place, label)
                place += 1
    return merged


def _cell(result: StudyResult, label: str) -> str:
    arm = result.arm(label)
    if arm is None:
        return NO_ARM
    if arm.difference is None:
        return NO_RESULT
    difference = replace(arm.difference, mean=result.sign * arm.difference.mean)
    text, remarks = plus_minus(difference, signed=True), []
    if difference.n < len(arm.seeds):
        remarks.append(f"{difference.n} of {counted(len(arm.seeds), 'seed')}")
    if arm.num_collapsed:
        remarks.append(f"{arm.num_collapsed} collapsed")
    return f"{text} ({', '.join(remarks)})" if remarks else text
