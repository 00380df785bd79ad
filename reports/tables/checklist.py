"""The reproducibility checklist, filled in from what was recorded.

The questions are those of reviewers: ranges and selection, exact run counts, error
bars, compute, parameters, environment, data, code. An item is ticked only where the
store holds the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from ablations.record import Manifest
from reports.claims.verdicts import Verdict
from reports.statistics.inference import MIN_PAIRS
from reports.statistics.summary import StudyResult
from reports.tables.caption import VARIED
from reports.tables.ledger import (
    Ledger,
    amount_text,
    code_text,
    removed_text,
    seeds_text,
    trials_text,
)
from reports.text import for_markdown


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        question: As a reviewer asks it.
        answer: From the records, or what is missing.
        is_met: Whether that is an answer.
    """

    question: str
    answer: str
    is_met: bool


def checklist(
    ledger: Ledger,
    result: StudyResult,
    manifest: Manifest,
    verdicts: tuple[Verdict, ...],
) -> list[Item]:
    """Every question with its answer."""
    return [
        *_what_was_tried(ledger, manifest, verdicts),
        *_how_it_is_measured(ledger, result),
        *_with_what(ledger, manifest),
    ]


def checklist_markdown(items: list[Item], title: str) -> str:
    """Boxes to tick, ticked."""
    lines = [
        f"- [{'x' if item.is_met else ' '}] **{item.question}** "
        f"{for_markdown(item.answer)}"
        for item in items
    ]
    head = f"# Reproducibility checklist: {for_markdown(title)}"
    return "\n\n".join((head, "\n".join(lines))) + "\n"


def _what_was_tried(
    ledger: Ledger, manifest: Manifest, verdicts: tuple[Verdict, ...]
) -> list[Item]:
    trials = ledger["trials"]
    tried = trials["planned"] - trials["missing"]
    ranges: dict[str, list[str]] = {}
    for arm in manifest.arms:
        for path, value in arm.settings.items():
            shown = ranges.setdefault(path, [])
            if str(value) not in shown:
                shown.append(str(value))
    varied = "; ".join(f"{path}: {', '.join(v)}" for path, v in ranges.items())
    removed = removed_text(ledger)
    return [
        Item(
            "Which settings were varied, over which range? How was the best chosen?",
            f"{varied or 'none'}. "
            f"{removed or 'Every arm is in the table, none was selected'}. "
            "Choices inside the evaluation (probe learning rate, k) were made on the "
            "validation split; numbers are the test split's.",
            is_met=not removed,
        ),
        Item(
            "How many trials were run, failures included?",
            f"{trials_text(ledger)}.",
            is_met=tried == trials["planned"],
        ),
        Item(
            "Which claims are tested, by rules stated where?",
            f"{len(verdicts)} ({', '.join(one.claim for one in verdicts)}), with their "
            "rules in the study's plan, study.json on its MLflow run; the store keeps "
            "the plan of the last run, so it cannot show that they came first."
            if verdicts
            else "The study makes no claims.",
            is_met=bool(verdicts),
        ),
        Item(
            "What differs from the paper's recipe?",
            f"{len(manifest.paper_diff)} settings, listed in report.html.",
            is_met=True,
        ),
    ]


def _how_it_is_measured(ledger: Ledger, result: StudyResult) -> list[Item]:
    pairs = [arm.difference.n for arm in result.arms if arm.difference]
    tests = (
        "Exact two-sided sign-flip p, Holm-adjusted within the table."
        if result.has_tests
        else f"None: a p below 0.05 needs {MIN_PAIRS} pairs of seeds, the most here is "
        f"{max(pairs, default=0)}."
    )
    least = min((len(arm.values) for arm in result.arms), default=0)
    return [
        Item(
            "What are the numbers and the error bars?",
            f"Means over seeds of {result.metric.title} with the 95 % Student-t "
            "interval of the mean; bootstrap intervals beside them in table.csv. "
            f"Between seeds {VARIED} vary. Differences are paired by seed.",
            is_met=least > 1,
        ),
        Item("Which tests, corrected for what?", tests, is_met=result.has_tests),
        Item("Which seeds?", f"{seeds_text(ledger)}.", is_met=True),
    ]


def _with_what(ledger: Ledger, manifest: Manifest) -> list[Item]:
    cost, data, code = ledger["cost"], ledger["data"], ledger["code"]
    clean = bool(code) and not any(v["uncommitted_changes"] for v in code)
    same_data = list(data["trials_by_digest"]) == [data["planned_digest"]]
    environments = ledger["environments"]
    where = "; ".join(
        f"{e.get('processor', 'processor unknown')}, Python {e.get('python', '?')}, "
        f"torch {e.get('torch', '?')}"
        for e in environments
    )
    return [
        Item(
            "How much compute, per trial and in all?",
            f"Training {amount_text(cost['training_seconds'], 's')}; evaluation "
            f"{amount_text(cost['evaluation_seconds'], 's')}; "
            f"{amount_text(cost['flops'], 'FLOPs')}.".replace(
                "; not recorded.", "; FLOPs not recorded."
            ),
            is_met=cost["training_seconds"] is not None,
        ),
        Item(
            "How many parameters?",
            f"{manifest.num_parameters:,} in the encoder.",
            is_met=True,
        ),
        Item(
            "Which environment?",
            f"{where or 'not recorded'} (ledger.md has all versions).",
            is_met=bool(environments),
        ),
        Item(
            "Which data and splits?",
            f"Planned digest {data['planned_digest']} (of contents; of a set too large "
            "to read, of names and sizes); trials logged "
            f"{', '.join(data['trials_by_digest']) or 'none'}. How it is split is in "
            "each run's config.json.",
            is_met=same_data,
        ),
        Item(
            "Which code?",
            f"{code_text(code) or 'not recorded'}.",
            is_met=clean,
        ),
        Item("Which command?", "; ".join(ledger["commands"]), is_met=True),
    ]
