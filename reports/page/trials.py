"""Arms and trials as the page lists them, and those without a clean result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ablations.record import DONE, FailedTry, ManifestArm
from reports.page.content import Content
from reports.statistics.summary import SeedResult
from reports.store.links import run_address, train_command
from reports.text import visible


def as_text(value: Any) -> str:
    """A setting as in YAML: ``true``, ``null``, ``0.001``, text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def listed_arms(content: Content) -> list[dict[str, Any]]:
    """Every arm with its overrides and trials."""
    values = {
        (arm.label, seed.seed): seed.value
        for arm in content.result.arms
        for seed in arm.seeds
    }
    rows = dict(list(content.frame.groupby("arm", sort=False)))
    return [
        {
            "label": arm.label,
            "anchor": f"runs-{number}",
            "is_reference": arm.is_reference,
            "overrides": [(path, as_text(v)) for path, v in arm.settings.items()],
            "trials": [
                _trial({str(k): v for k, v in row.items()}, arm, content, values)
                for row in rows[arm.label].to_dict("records")
            ]
            if arm.label in rows
            else [],
        }
        for number, arm in enumerate(content.manifest.arms)
    ]


def pointed_at(arms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's scripts show of an arm that a reader points at."""
    return [
        {
            "label": visible(arm["label"]),
            "anchor": arm["anchor"],
            "settings": visible(", ".join(f"{p} = {v}" for p, v in arm["overrides"])),
            "trials": {
                str(trial["seed"]): {
                    "value": _number(trial["value"]),
                    "status": visible(trial["status"]),
                    "address": trial["address"],
                    "command": visible(trial["command"]),
                }
                for trial in arm["trials"]
            },
        }
        for arm in arms
    ]


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def troubles(content: Content) -> list[tuple[str, SeedResult, list[str]]]:
    """Cells that are not simply finished, with their former tries."""
    frame = content.frame
    cells = zip(frame["arm"], frame["seed"], strict=True)
    tries = dict(zip(cells, frame["failed_tries"], strict=True))
    return [
        (arm.label, seed, _former(tries[arm.label, seed.seed], seed))
        for arm in content.result.arms
        for seed in arm.seeds
        if seed.status != "finished"
        or seed.value is None
        or tries[arm.label, seed.seed]
    ]


def _former(tries: Sequence[FailedTry], seed: SeedResult) -> list[str]:
    """Failed tries in words; the last one is left out where the cell says it."""
    failed_last = seed.status not in (*DONE, "unfinished")
    texts = []
    for number, one in enumerate(tries[: len(tries) - failed_last], start=1):
        lost = "" if one.seconds is None else f", {one.seconds:,.4g} s lost"
        status = one.status.replace("_", " ")
        texts.append(f"try {number} {status}{lost}: {one.reason}")
    return texts


def _trial(
    row: dict[str, Any],
    arm: ManifestArm,
    content: Content,
    values: dict[tuple[str, int], float | None],
) -> dict[str, Any]:
    return {
        **row,
        "value": values[row["arm"], row["seed"]],
        "address": run_address(
            content.tracking_uri, row["experiment_id"], row["run_id"]
        ),
        "command": train_command(content.manifest, arm, row["seed"]),
    }
