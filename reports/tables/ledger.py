"""The run ledger: what was run, how it ended, what it cost, with which code and data.

Counts come from the tags of every run. Environments come from records, one artifact
each, so only the first finished trials of every arm are opened; the ledger says how
many of how many.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import pandas as pd

from ablations.mlflow_names import (
    EVALUATION_SECONDS_METRIC,
    FLOPS_METRIC,
    TRAINING_SECONDS_METRIC,
)
from ablations.record import DONE, FailedTry, Manifest, Status
from reports.store.foreign import Location
from reports.store.frames import place_of, read_record
from reports.store.reader import Source
from reports.tables.wording import counted
from reports.text import for_markdown

Ledger = dict[str, Any]
"""Plain data, as in ``ledger.json``."""
MAX_RECORDS = 40
STATUSES = (*get_args(Status), "unfinished", "missing")


def build_ledger(
    client: Source,
    frame: pd.DataFrame,
    removed: pd.DataFrame,
    manifest: Manifest,
) -> Ledger:
    """The ledger of a study.

    Args:
        client: A client of the store.
        frame: As from :func:`reports.store.frames.trial_frames`.
        removed: The frame of the cells that the table no longer has.
        manifest: The planned study.
    """
    counts = Counter(frame["status"])
    failed = [one for tries in frame["failed_tries"] for one in tries]
    environments, num_read = _environments(client, frame, place_of(manifest))
    return {
        "study": manifest.study["name"],
        "modality": manifest.modality,
        "scale": manifest.scale,
        "settings_by_hand": manifest.assignments,
        "arms": len(manifest.arms),
        "seeds": sorted({cell.seed for cell in manifest.cells}),
        "trials": {
            "planned": len(frame),
            **{status: counts[status] for status in STATUSES},
        },
        "tries": int(frame["num_tries"].sum()),
        "failed_tries": _count(one.status for one in failed),
        "cost": {
            "training_seconds": _training(frame, failed),
            "evaluation_seconds": _amount(frame, EVALUATION_SECONDS_METRIC),
            "flops": _amount(frame, FLOPS_METRIC),
        },
        "encoder": {
            "depth": manifest.depth,
            "parameters": manifest.num_parameters,
        },
        "data": {
            "planned_digest": manifest.data_digest,
            "trials_by_digest": _count(frame["data_digest"]),
        },
        "code": [
            {"commit": commit, "uncommitted_changes": dirty == "true", "trials": count}
            for (commit, dirty), count in Counter(
                zip(frame["commit"], frame["dirty"], strict=True)
            ).items()
            if commit
        ],
        "commands": [manifest.command, *_others(frame["command"], manifest.command)],
        "environments": environments,
        "records_read": num_read,
        "by_trial": [_trial(row) for row in frame.to_dict("records")],
        "removed": [_trial(row) for row in removed.to_dict("records")],
        "outdated": [cell.model_dump() for cell in manifest.outdated],
    }


def ledger_json(ledger: Ledger) -> str:
    """With every trial."""
    return json.dumps(ledger, indent=1) + "\n"


def ledger_markdown(ledger: Ledger) -> str:
    """For people: everything but the list of trials."""
    lines = [f"- **{name}**: {for_markdown(text)}" for name, text in facts(ledger)]
    title = f"{ledger['study']}, {ledger['modality']}, scale {ledger['scale']}"
    parts = [f"# Run ledger: {for_markdown(title)}", "\n".join(lines)]
    for environment in ledger["environments"]:
        own = dict(environment)
        count = own.pop("trials")
        listed = "\n".join(f"- {k}: {for_markdown(v)}" for k, v in own.items())
        parts += [f"## Environment of {count} of the records read", listed]
    return "\n\n".join(parts) + "\n"


def facts(ledger: Ledger) -> list[tuple[str, str]]:
    """The answers to a reviewer's questions, in words."""
    cost, encoder, data = ledger["cost"], ledger["encoder"], ledger["data"]
    digests = [f"{name} ({n} trials)" for name, n in data["trials_by_digest"].items()]
    rows = [
        ("Trials", trials_text(ledger)),
        ("Removed", removed_text(ledger)),
        ("Outdated", outdated_text(ledger)),
        ("Arms and seeds", f"{ledger['arms']} arms; seeds {seeds_text(ledger)}"),
        ("Training time", amount_text(cost["training_seconds"], "s")),
        ("Evaluation time", amount_text(cost["evaluation_seconds"], "s")),
        ("FLOPs of training", amount_text(cost["flops"], "FLOPs")),
        (
            "Encoder",
            f"{encoder['depth']} blocks, {encoder['parameters']:,} parameters",
        ),
        ("Data digest", f"planned {data['planned_digest']}; {'; '.join(digests)}"),
        ("Code", code_text(ledger["code"])),
        ("Commands", "; ".join(ledger["commands"])),
        (
            "Environment",
            f"{len(ledger['environments'])} different in {ledger['records_read']} "
            "records read",
        ),
    ]
    return [(name, text.strip("; ")) for name, text in rows if text]


def trials_text(ledger: Ledger) -> str:
    """``2 planned: 1 finished, 1 missing; 2 tries, 1 without a result: 1 failed``."""
    trials, failed = ledger["trials"], ledger["failed_tries"]
    ended = {status: trials[status] for status in STATUSES if trials[status]}
    tries = "1 try" if ledger["tries"] == 1 else f"{ledger['tries']} tries"
    text = f"{trials['planned']} planned: {_listed(ended)}; {tries}"
    if not failed:
        return f"{text}, none failed"
    return f"{text}, {sum(failed.values())} without a result: {_listed(failed)}"


def removed_text(ledger: Ledger) -> str:
    """The trials that the table leaves out; empty where there are none."""
    removed = ledger["removed"]
    if not removed:
        return ""
    arms: dict[str, Counter[str]] = {}
    for trial in removed:
        arms.setdefault(trial["arm"], Counter())[trial["status"]] += 1
    listed = "; ".join(f"{arm}: {_listed(counts)}" for arm, counts in arms.items())
    trials = counted(len(removed), "trial")
    return f"{trials} of former arms or seeds in the store, not in this table: {listed}"


def outdated_text(ledger: Ledger) -> str:
    """What an older version of this software trained; empty where that is nothing."""
    outdated = ledger["outdated"]
    if not outdated:
        return ""
    return (
        f"{counted(len(outdated), 'trial')} of an earlier schema version, not used: "
        "a setting or metric means something else since"
    )


def _listed(counts: Mapping[str, int]) -> str:
    named = (f"{n} {name.replace('_', ' ')}" for name, n in counts.items())
    return ", ".join(named) or "none"


def seeds_text(ledger: Ledger) -> str:
    """Seeds, a row of them as a range."""
    seeds = ledger["seeds"]
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def amount_text(amount: Mapping[str, float] | None, unit: str) -> str:
    """Total with what failed tries cost, and from trial to trial."""
    if amount is None:
        return "not recorded"
    text = f"{amount['total']:,.4g} {unit} over {amount['trials']} trials"
    if "lost" in amount:
        text += f", {amount['lost']:,.4g} {unit} of it in tries without a result"
        if amount["tries_not_timed"]:
            text += f" ({amount['tries_not_timed']} more not timed)"
    if not amount["trials"]:
        return text
    return (
        f"{text}; per trial mean {amount['mean']:,.4g}, least {amount['min']:,.4g}, "
        f"most {amount['max']:,.4g}"
    )


def code_text(versions: Iterable[Mapping[str, Any]]) -> str:
    """Commits with the number of trials, and whether files differed from them."""
    return "; ".join(
        f"{version['commit']}"
        f"{' with uncommitted changes' * version['uncommitted_changes']} "
        f"({version['trials']} trials)"
        for version in versions
    )


def _environments(
    client: Source, frame: pd.DataFrame, place: Location
) -> tuple[list[dict[str, Any]], int]:
    """Different environments with the number of trials, and the records read."""
    done = frame[frame["status"].isin(DONE)]
    ordered = done.assign(turn=done.groupby("arm").cumcount()).sort_values(
        "turn", kind="stable"
    )
    environments: dict[str, dict[str, Any]] = {}
    num_read = 0
    for run_id in ordered["run_id"].head(MAX_RECORDS):
        record = read_record(client, str(run_id), place)
        if record is None:
            continue
        num_read += 1
        text = json.dumps(record.environment, sort_keys=True)
        entry = environments.setdefault(text, {**record.environment, "trials": 0})
        entry["trials"] += 1
    return list(environments.values()), num_read


def _training(
    frame: pd.DataFrame, failed: Sequence[FailedTry]
) -> dict[str, Any] | None:
    """Seconds of trials with a result, and those that tries without one have lost."""
    amount = _amount(frame[frame["status"].isin(DONE)], TRAINING_SECONDS_METRIC)
    timed = [one.seconds for one in failed if one.seconds is not None]
    if not failed or not (amount or timed):
        return amount
    amount = amount or {"total": 0.0, "trials": 0}
    lost = {"lost": sum(timed), "tries_not_timed": len(failed) - len(timed)}
    return {**amount, "total": amount["total"] + sum(timed), **lost}


def _amount(frame: pd.DataFrame, column: str) -> dict[str, Any] | None:
    if column not in frame or not frame[column].notna().any():
        return None
    numbers = frame[column].dropna()
    return {
        "total": float(numbers.sum()),
        "trials": len(numbers),
        "mean": float(numbers.mean()),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
    }


def _trial(row: Mapping[Any, Any]) -> dict[str, Any]:
    names = ("arm", "seed", "key", "status", "num_tries")
    trial: dict[str, Any] = {name: row[name] for name in names}
    trial["failed_tries"] = [one.model_dump() for one in row["failed_tries"]]
    for column in (TRAINING_SECONDS_METRIC, EVALUATION_SECONDS_METRIC, FLOPS_METRIC):
        value = row.get(column, math.nan)
        trial[column] = None if math.isnan(value) else value
    return trial


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(value for value in values if value).items()))


def _others(commands: Iterable[str], known: str) -> list[str]:
    return sorted({command for command in commands if command and command != known})
