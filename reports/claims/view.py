"""Claims with their verdicts, laid out for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from reports.claims.verdicts import Verdict
from reports.tables.wording import counted, p_text, share_text, signed
from reports.text import for_markdown, for_terminal

COLOURS = {"supported": "green", "contradicted": "red", "undecided": "yellow"}
HEAD = (
    *("claim", "verdict", "effect and interval", "n", "p", "seeds needed"),
    "evidence",
)
CLAIM_COLUMNS = (
    *("study", "modality", "scale", "claim", "says", "where", "verdict", "measure"),
    *("effect", "low", "high", "n", "p", "seeds_needed", "more_draws"),
    *("seeds_with_more_draws", "reason"),
)
"""Columns of :func:`claim_row`."""
LEGEND = (
    "Effects count so that positive is better, or speaks for the claim; of a share of "
    "seeds, more than one half does. The interval and p are those the verdict rests "
    "on, named in the evidence. Seeds needed: in all, if effect and spread stay as "
    "measured, which is an even chance and no promise; with more label draws in every "
    "trial, the old ones evaluated again, where the noise is known and that is fewer; "
    "not said where the effect points the other way."
)


@dataclass(frozen=True)
class JudgedClaim:
    """A verdict with the study it belongs to.

    Attributes:
        study: Its name.
        modality: The run's.
        scale: The run's.
        verdict: The outcome.
    """

    study: str
    modality: str
    scale: str
    verdict: Verdict

    @property
    def place(self) -> tuple[str, str, str]:
        """Study, modality, scale."""
        return (self.study, self.modality, self.scale)


def effect_text(verdict: Verdict) -> str:
    """``+1.03 [+0.85, +1.22]``; a dash where nothing could be measured."""
    text = share_text if verdict.is_share else signed
    if verdict.effect is None:
        return "–"
    if verdict.low is None or verdict.high is None:
        return text(verdict.effect)
    return f"{text(verdict.effect)} [{text(verdict.low)}, {text(verdict.high)}]"


def seeds_text(verdict: Verdict) -> str:
    """``12; 8 with 30 draws``, to settle it; a dash where that is no question."""
    if verdict.seeds_needed is None or verdict.points_away:
        return "–"
    text, more = str(verdict.seeds_needed), verdict.more_draws
    return text if more is None else f"{text}; {more.seeds} with {more.num_draws} draws"


def plain_line(verdict: Verdict) -> tuple[str, str]:
    """The claim with its place in the paper, and what was measured: for one line."""
    where = f" ({verdict.where})" if verdict.where else ""
    says = f"{verdict.says}{where}"
    if verdict.n == 0 or verdict.effect is None:
        return says, "not measured"
    return says, f"{counted(verdict.n, 'seed')}: {effect_text(verdict)}"


def claim_cells(verdict: Verdict) -> tuple[str, ...]:
    """The cells under :data:`HEAD`."""
    where = f" ({verdict.where})" if verdict.where else ""
    return (
        f"{verdict.says}{where}",
        verdict.verdict,
        effect_text(verdict),
        str(verdict.n),
        "–" if verdict.p is None else p_text(verdict.p),
        seeds_text(verdict),
        f"{verdict.measure}: {verdict.reason}",
    )


def claims_markdown(verdicts: Sequence[Verdict]) -> str:
    """A section; empty without claims."""
    if not verdicts:
        return ""
    rows = [HEAD, tuple("---" for _ in HEAD), *map(claim_cells, verdicts)]
    lines = [
        "| "
        + " | ".join(row if i == 1 else [for_markdown(cell) for cell in row])
        + " |"
        for i, row in enumerate(rows)
    ]
    return "\n\n".join(("#### Claims", "\n".join(lines), LEGEND)) + "\n"


def claim_row(judged: JudgedClaim) -> dict[str, object]:
    """For programs: every number unrounded in a column of its own."""
    verdict, more = judged.verdict, judged.verdict.more_draws
    places = {"study": judged.study, "modality": judged.modality, "scale": judged.scale}
    with_draws = {
        "more_draws": more and more.num_draws,
        "seeds_with_more_draws": more and more.seeds,
    }
    own = {name for name in CLAIM_COLUMNS if name not in places | with_draws}
    return places | {name: getattr(verdict, name) for name in own} | with_draws


def claims_console(verdicts: Sequence[Verdict], *, verbose: bool = False) -> RichTable:
    """For a terminal: a line per claim; the evidence below it where that is wanted."""
    grid = RichTable.grid(padding=(0, 2))
    for verdict in verdicts:
        says, at = plain_line(verdict)
        lines = [for_terminal(says) + Text(f"  {at}", "dim")]
        if verbose:
            *_, n, p, seeds, reason = claim_cells(verdict)
            numbers = [f"n = {n}", f"p = {p}", f"seeds needed: {seeds}"]
            lines += [Text(", ".join(x for x in numbers if not x.endswith("–")))]
            lines += [for_terminal(reason, "dim")]
        outcome = Text(verdict.verdict, COLOURS[verdict.verdict])
        grid.add_row(outcome, Text("\n").join(lines))
    return grid


def outcome_sentence(verdicts: Sequence[Verdict]) -> str:
    """For MLflow's description: every claim with its verdict; empty without claims."""
    says = [for_markdown(v.says.rstrip(".")) for v in verdicts]
    return " ".join(
        f"[{v.verdict}] {text}: {effect_text(v)}, n = {v.n}."
        for v, text in zip(verdicts, says, strict=True)
    )
