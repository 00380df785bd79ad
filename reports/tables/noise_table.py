"""Where the noise comes from, in a sentence and a small table, the same everywhere.

Standard deviations are in the metric's unit, for a score at label draws in points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ablations.metrics import Metric
from reports.statistics.noise import LEAST_PLANNED, Noise, Unknown
from reports.statistics.study_noise import NoiseRow, StudyNoise
from reports.tables.formats import rows_csv
from reports.tables.wording import counted
from reports.text import for_markdown

TITLE = "Where the noise comes from"
HEAD = (
    *("of", "seeds", "draws", "one draw", "mean of draws", "seeds alone"),
    *("caused by draws", "interval", "twice the seeds", "more draws", "then enough"),
)
COLUMNS = (
    *("arm", "other", "num_pooled", "num_seeds", "num_left_out", "fewest_draws"),
    *("most_draws", "one_draw_sd", "mean_of_draws_sd", "seeds_sd", "draws_share"),
    *("draws_share_low", "draws_share_high", "half_width", "more_draws"),
    *("half_width_with_more_draws", "half_width_with_twice_the_seeds"),
    *("equivalent_seeds", "unknown"),
)
LEGEND = (
    "Standard deviations of one label draw, of the mean over the draws of a trial, and "
    "of what else changes with the seed (0 where draws explain all there is); then the "
    "share of the interval's variance that draws cause, with its own 95 % interval; "
    "half the interval's length as it is, with twice the seeds, and with so many "
    "draws; and how many seeds are then enough for the interval as it is. By the "
    "method of moments, so with few seeds a hint. Not seen, because all seeds share "
    "it: the noise of the test set and of the choice of all labelled examples."
)
DASH = "–"


def noise_sentence(noise: StudyNoise | None, metric: Metric) -> str:
    """One sentence on the differences, else on the scores; empty without draws."""
    if noise is None:
        return ""
    row = noise.headline
    start = f"Noise of {metric.title}, {_subject(row)}"
    if isinstance(row.noise, Unknown):
        return f"{start}: unknown ({row.noise.reason}). {_remedy(row.noise)}".strip()
    return f"{start}: {'; '.join(_parts(row.noise))}."


def noise_cells(noise: StudyNoise) -> list[tuple[str, ...]]:
    """The rows under :data:`HEAD`: pooled ones first, then every difference."""
    return [_cells(row) for row in _shown(noise)]


def noise_markdown(noise: StudyNoise | None, metric: Metric) -> str:
    """A section; empty without draws."""
    if noise is None:
        return ""
    rules = [":---", *["---:"] * (len(HEAD) - 1)]
    rows = [list(HEAD), rules]
    rows += [[for_markdown(cell) for cell in row] for row in noise_cells(noise)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    sentence = for_markdown(noise_sentence(noise, metric))
    return "\n\n".join((f"#### {TITLE}", sentence, lines, LEGEND)) + "\n"


def noise_csv(noise: StudyNoise | None) -> str:
    """For programs: every score and difference, unrounded; a head without draws."""
    rows = [] if noise is None else [_csv_row(row) for row in _all(noise)]
    return rows_csv(rows, COLUMNS)


def _parts(noise: Noise) -> Iterator[str]:
    """The sentence after its subject: components, share, and what would shrink it."""
    in_mean = math.sqrt(noise.draws_variance)
    seeds = _number(math.sqrt(noise.seed_variance))
    yield (
        f"label draws {_number(math.sqrt(noise.draw_variance))} points "
        f"({_draws(noise)}: {_number(in_mean)} of the score), seeds {seeds}"
    )
    if noise.draws_share is None:
        yield "nothing varies"
        return
    yield f"draws cause {_share(noise)} of the interval's variance"
    more = noise.more_draws
    if more is None:
        yield f"more seeds alone would shrink it ({_draws(noise)} are the most)"
        return
    equal = noise.equivalent_seeds(more)
    instead = f"{more} draws instead of {_count(noise)}"
    if equal < noise.num_seeds:
        yield f"{instead}: {equal} seeds do what {noise.num_seeds} do"
    else:
        shorter = _percent(1.0 - noise.shrinkage(more))
        yield f"{instead} make it {shorter} shorter, less than a seed is worth"


def _remedy(unknown: Unknown) -> str:
    if "one label draw" not in unknown.reason:
        return ""
    return (
        f"evaluation.num_label_draws={LEAST_PLANNED} would show it and trains nothing."
    )


def _shown(noise: StudyNoise) -> list[NoiseRow]:
    pools = [noise.all_differences, noise.all_scores]
    rows = [row for row in pools if row is not None]
    return [*rows, *(row for row in noise.differences if row not in rows)]


def _all(noise: StudyNoise) -> list[NoiseRow]:
    rows = _shown(noise)
    return [*rows, *(row for row in noise.scores if row not in rows)]


def _subject(row: NoiseRow) -> str:
    if row.arm:
        return f"{row.arm} − {row.other}" if row.other else row.arm
    noun, to = ("difference", f" to {row.other}") if row.other else ("score", "")
    if isinstance(row.noise, Unknown):
        return f"all {noun}s{to}"
    return f"{counted(row.noise.num_pooled, noun)}{to}, pooled"


def _cells(row: NoiseRow) -> tuple[str, ...]:
    noise = row.noise
    if isinstance(noise, Unknown):
        return (_subject(row), noise.reason, *[DASH] * (len(HEAD) - 2))
    more = noise.more_draws
    return (
        _subject(row),
        str(noise.num_seeds),
        _count(noise),
        _number(math.sqrt(noise.draw_variance)),
        _number(math.sqrt(noise.draws_variance)),
        _number(math.sqrt(noise.seed_variance)),
        _share(noise),
        f"±{_number(noise.half_width())}",
        f"±{_number(noise.half_width(2 * noise.num_seeds))}",
        DASH if more is None else f"{more}: ±{_number(noise.half_width(None, more))}",
        DASH if more is None else f"{noise.equivalent_seeds(more)} seeds",
    )


def _csv_row(row: NoiseRow) -> dict[str, object]:
    noise = row.noise
    start = {"arm": row.arm, "other": row.other, "num_left_out": row.left_out}
    if isinstance(noise, Unknown):
        return {**start, "unknown": noise.reason}
    low, high = noise.share_interval() or (None, None)
    more = noise.more_draws
    return {
        **start,
        "num_pooled": noise.num_pooled,
        "num_seeds": noise.num_seeds,
        "fewest_draws": noise.fewest_draws,
        "most_draws": noise.most_draws,
        "one_draw_sd": math.sqrt(noise.draw_variance),
        "mean_of_draws_sd": math.sqrt(noise.draws_variance),
        "seeds_sd": math.sqrt(noise.seed_variance),
        "draws_share": noise.draws_share,
        "draws_share_low": low,
        "draws_share_high": high,
        "half_width": noise.half_width(),
        "more_draws": more,
        "half_width_with_more_draws": more and noise.half_width(None, more),
        "half_width_with_twice_the_seeds": noise.half_width(2 * noise.num_seeds),
        "equivalent_seeds": more and noise.equivalent_seeds(more),
    }


def _number(value: float) -> str:
    return f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"


def _share(noise: Noise) -> str:
    """``6 % (2 to 20)``."""
    if noise.draws_share is None:
        return DASH
    interval = noise.share_interval()
    ends = f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})" if interval else ""
    return f"{_percent(noise.draws_share)}{ends}"


def _count(noise: Noise) -> str:
    """``10``, or ``8 to 10`` where seeds differ."""
    if noise.fewest_draws == noise.most_draws:
        return str(noise.most_draws)
    return f"{noise.fewest_draws} to {noise.most_draws}"


def _draws(noise: Noise) -> str:
    return f"{_count(noise)} draws"
