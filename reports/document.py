"""A report for programs: numbers unrounded, under names that stay."""

from __future__ import annotations

from typing import Any

from reports.build import Report
from reports.claims.view import claim_row
from reports.statistics.summary import ArmResult, Estimate


def report_document(report: Report) -> dict[str, Any]:
    """What ``d2v report --json`` says of one report."""
    manifest, result = report.manifest, report.result
    return {
        "study": manifest.study["name"],
        "title": manifest.study["title"],
        "modality": manifest.modality,
        "scale": manifest.scale,
        "settings_by_hand": manifest.assignments,
        "metric": {
            "name": result.metric.logged_as,
            "title": result.metric.title,
            "higher_is_better": result.metric.higher_is_better,
        },
        "baseline": result.baseline,
        "arms": [_arm(arm) for arm in result.arms],
        "claims": [claim_row(one) for one in report.claims],
        "files": {name: str(path) for name, path in report.files.items()},
    }


def _arm(arm: ArmResult) -> dict[str, Any]:
    return {
        "arm": arm.label,
        "is_reference": arm.is_reference,
        "seeds": [
            {"seed": one.seed, "status": one.status, "value": one.value}
            for one in arm.seeds
        ],
        "mean": _estimate(arm.mean),
        "difference": _estimate(arm.difference),
        "gain": _estimate(arm.gain),
        "p_holm": arm.p,
    }


def _estimate(value: Estimate | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {"mean": value.mean, "low": value.low, "high": value.high, "n": value.n}
