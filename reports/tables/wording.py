"""Numbers and troubles of a study in words, the same in every format."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from reports.statistics.summary import Estimate, SeedResult

DECIMALS = 2
REASON_LENGTH = 160
"""Characters of a reason in a footnote; the page and ``trials.csv`` have all of it."""


LEAST_FOR_INTERVAL = 3
"""Seeds: of two, the 95 % t interval is 12.7 standard errors long and says nothing."""


def shown_half_width(estimate: Estimate | None) -> float | None:
    """Half the interval where it is shown: from three seeds on."""
    if estimate is None or estimate.n < LEAST_FOR_INTERVAL:
        return None
    return estimate.half_width


def plus_minus(estimate: Estimate, *, signed: bool = False) -> str:
    """``71.20 ± 1.10``; with a sign for differences, and a real minus."""
    sign = "+z" if signed else "z"  # z: no "-0.00"
    text = f"{estimate.mean:{sign}.{DECIMALS}f}".replace("-", "−")
    half = shown_half_width(estimate)
    return text if half is None else f"{text} ± {half:.{DECIMALS}f}"


def signed(value: float) -> str:
    """``+1.20``, with a real minus."""
    return f"{value:+z.{DECIMALS}f}".replace("-", "−")


def share_text(value: float) -> str:
    """``0.29``, of a share between 0 and 1."""
    return f"{value:.{DECIMALS}f}"


def counted(count: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def p_text(p: float) -> str:
    """Three decimals, ``<0.001`` below."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def trouble(seeds: Iterable[SeedResult]) -> str:
    """Name the seeds that are not simply finished; empty when all are.

    Seeds that ended alike are named together, at the place of the first of them:
    ``seeds 0, 1 not run yet; seed 2 failed: diverged at step 12``.
    """
    numbers: dict[str, list[str]] = {}
    for seed in sorted(seeds, key=lambda seed: seed.seed):
        if why := _why(seed):
            numbers.setdefault(why, []).append(str(seed.seed))
    return "; ".join(
        f"seed{'s' * (len(alike) > 1)} {', '.join(alike)} {why}"
        for why, alike in numbers.items()
    )


def _why(seed: SeedResult) -> str:
    lines = [line for line in seed.reason.splitlines() if line.strip()] or [""]
    line = lines[-1 if lines[0].startswith("Traceback") else 0]
    reason = textwrap.shorten(line, REASON_LENGTH, placeholder=" …")
    if seed.status == "finished":
        return "" if seed.value is not None else f"finished: {reason}"
    if seed.status == "missing":
        return reason
    why = seed.status.replace("_", " ")
    if reason:  # "collapsed at step 500: ..." says so itself
        why = reason if reason.startswith(why) else f"{why}: {reason}"
    if seed.status == "collapsed" and seed.value is not None:
        return f"{why} (its value counts)"
    return why
