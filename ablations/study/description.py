"""The text MLflow shows on a study: its hypothesis and, once reported, the outcome."""

from __future__ import annotations

from typing import Any


def study_note(study: dict[str, Any], outcome: str = "") -> str:
    """Markdown for a study's run.

    Args:
        study: As in :attr:`ablations.record.Manifest.study`.
        outcome: Sentences computed from the numbers; empty before the first report.
    """
    paper = study.get("paper")
    parts = [
        f"**{study['title']}**",
        f"{paper['where']} of arXiv {paper['arxiv']}" if paper else "",
        f"Hypothesis: {study['hypothesis']}" if study.get("hypothesis") else "",
        f"Outcome: {outcome}" if outcome else "",
    ]
    return "\n\n".join(part for part in parts if part)
