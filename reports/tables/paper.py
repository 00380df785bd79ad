"""The paper's own numbers of a study, with where they come from and how they were read.

Metric, data or scale may differ from ours, so nothing here compares the
two; see the caption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ablations.record import Manifest

MARKS = {"digitised": "d", "read": "r"}
"""Superscript letter of each way a number was taken from the paper."""


@dataclass(frozen=True)
class PaperNumbers:
    """The numbers that the paper reports for one modality of a study.

    Attributes:
        metric: The paper's metric, with its unit.
        setup: Model and training behind the numbers.
        source: ``read`` from a table or text, or ``digitised`` from a figure.
        tolerance: Half-width of the reading error; None where the number was read.
        higher_is_better: Direction of the paper's metric.
        values: By the paper's own axis value or arm name, in the paper's order.
        where: ``Figure 2 of arXiv 2202.03555v3``.
    """

    metric: str
    setup: str
    source: str
    tolerance: float | None
    higher_is_better: bool
    values: Mapping[str, float]
    where: str

    @property
    def decimals(self) -> int:
        """Digits of the most precise of the numbers, so that 84.2 stays 84.2."""
        return most_decimals([*self.values.values(), self.tolerance or 0.0])

    @property
    def note(self) -> str:
        """The footnote of :attr:`mark`."""
        if self.tolerance is None:
            return f"{self.source} from {self.where}"
        error = f"{self.tolerance:.{self.decimals}f}"
        return f"{self.source} from {self.where}, reading error ±{error}"

    @property
    def mark(self) -> str:
        """Superscript letter beside each number."""
        return MARKS[self.source]

    def text(self, value: float) -> str:
        """``84.02 ± 0.02``, or ``84.2`` where the number was read."""
        if self.tolerance is None:
            return f"{value:.{self.decimals}f}"
        return f"{value:.{self.decimals}f} ± {self.tolerance:.{self.decimals}f}"


def paper_numbers(manifest: Manifest) -> PaperNumbers | None:
    """The paper's numbers for the study's modality; None where it reports none."""
    published: dict[str, Any] | None = (manifest.study.get("published") or {}).get(
        manifest.modality
    )
    if published is None:
        return None
    return PaperNumbers(
        metric=published["metric"],
        setup=published.get("setup", ""),
        source=published["source"],
        tolerance=published.get("tolerance"),
        higher_is_better=published["higher_is_better"],
        values={str(key): float(v) for key, v in published["values"].items()},
        where=paper_place(manifest) or "the paper",
    )


def paper_goodness(manifest: Manifest) -> dict[str, float]:
    """The paper's number beside each of our own arms that has one, higher is better."""
    paper = paper_numbers(manifest)
    if paper is None:
        return {}
    sign = 1.0 if paper.higher_is_better else -1.0
    return {
        arm.label: sign * float(arm.paper["value"])
        for arm in manifest.arms
        if arm.paper is not None and not arm.is_reference
    }


def paper_place(manifest: Manifest) -> str:
    """``Figure 2 of arXiv 2202.03555v3``; empty for a study of one's own."""
    paper = manifest.study.get("paper")
    return f"{paper['where']} of arXiv {paper['arxiv']}" if paper else ""


def scales_with_depth(manifest: Manifest) -> bool:
    """Whether the axis is given as shares of the encoder's depth."""
    axis = manifest.study.get("axis")
    return axis is not None and "fraction_of_depth" in axis["values"]


def most_decimals(numbers: Iterable[float]) -> int:
    """Digits after the point of the number that has most of them."""
    return max(
        (len(f"{number:.6f}".rstrip("0").partition(".")[2]) for number in numbers),
        default=0,
    )
