"""Lengths of time, as people write and read them."""

from __future__ import annotations

import re

from d2v_core.errors import ConfigError, Problem, shown

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
LONGEST = 10 * 365 * 86_400.0
"""Seconds of a budget."""


def parse_budget(text: str) -> float:
    """Seconds of a ``--budget``: ``2h``, ``1h30m``, ``90m``, ``45s`` or ``1d``.

    Raises:
        ConfigError: It is not such a duration, or zero.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if (
        "".join(number + unit for number, unit in parts) != text
        or not 0 < seconds <= LONGEST
    ):
        requirement = (
            "must be a duration such as 2h, 1h30m, 90m or 45s, up to ten years"
        )
        raise ConfigError([Problem("--budget", f"{requirement}, got {shown(text)}")])
    return seconds


def duration(seconds: float) -> str:
    """``1:05``, or ``2:00:05`` from an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
