"""From the tracking store to a planned study and a tidy frame of its trials.

Numbers come from the metrics and tags of runs, in one paginated search per study; no
artifact of a trial is opened for a table.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from ablations.metrics import LOGGED_GROUPS, manifest_metric
from ablations.mlflow_names import (
    COMMAND_TAG,
    COMMIT_TAG,
    DIRTY_TAG,
    KEY_TAG,
    NOTES_TAG,
    RECORD_ARTIFACT,
    STATUS_TAG,
    probe_metric,
)
from ablations.record import DONE, Manifest, ManifestCell, Record, is_done
from reports.store.foreign import (
    Location,
    Origin,
    parse,
    read_draws,
    read_failed_tries,
    read_opened,
    read_status,
)
from reports.store.reader import Source, reader_of
from reports.store.runs import StoredRun

METRIC_PREFIXES = tuple(f"{group}/" for group in LOGGED_GROUPS)
"""Beginnings of the columns of a frame that are metrics."""
FINAL_PREFIXES = ("eval/", "cost/")
"""Beginnings of the metrics that every frame has; the others are curves."""

PROBED = probe_metric("")
"""Beginning of the metrics of an encoder that is still trained."""

HEALTH_METRICS = ("target/std", "target/effective_rank", "prediction/std")
"""Say whether a trial's representation is alive; their last values are its health."""

SOURCE_TAGS = {
    "commit": COMMIT_TAG,
    "dirty": DIRTY_TAG,
    "command": COMMAND_TAG,
}
"""Origin of a trial: column and tag."""

RECORD = TypeAdapter(Record)


def trial_frame(client: Source, manifest: Manifest) -> pd.DataFrame:
    """The first of :func:`trial_frames`."""
    return trial_frames(client, manifest)[0]


def trial_frames(
    client: Source, manifest: Manifest
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per planned cell, whether or not its trial exists; and the removed ones.

    Args:
        client: A client of the store, or another reader.
        manifest: The planned study; its cells are the rows, in order.

    Returns:
        Columns ``arm``, ``seed``, ``key``, ``num_tries`` (failed ones among them; one
        that was interrupted goes on as the same), ``failed_tries`` (as in
        :data:`ablations.mlflow_names.TRIES_TAG`), ``status`` (as in
        :data:`ablations.record.Status`, ``unfinished`` or ``missing``), ``reason``,
        ``notes``, ``run_id``, ``experiment_id``, ``ended`` (milliseconds since 1970, 0
        when unknown), ``commit``, ``dirty``, ``command``, ``data_digest``, ``draws``
        (the metric that counts at each label draw, empty when unknown), ``probed`` (the
        metrics logged before the end of the training), ``health`` (last values of
        :data:`HEALTH_METRICS`), then one column per logged
        ``eval/`` and ``cost/`` metric and the metric that counts,
        NaN where there is none. Then the same of the cells that the table no longer
        has, if the store has their trials and their keys are not outdated.

    Raises:
        StoreContentError: A tag of a trial cannot be used.
    """
    runs: dict[str, list[StoredRun]] = defaultdict(list)
    for run in reader_of(client).trials(manifest):
        runs[run.tags.get(KEY_TAG, "")].append(run)
    outdated = {cell.key for cell in manifest.outdated}
    left = [c for c in manifest.removed if c.key in runs and c.key not in outdated]
    return _frame(runs, manifest.cells, manifest), _frame(runs, left, manifest)


def place_of(manifest: Manifest) -> Location:
    """Study, modality and scale of a plan."""
    return (manifest.study["name"], manifest.modality, manifest.scale)


def _frame(
    runs: Mapping[str, Sequence[StoredRun]],
    cells: Iterable[ManifestCell],
    manifest: Manifest,
) -> pd.DataFrame:
    """A row for every cell, with the final metrics and the one that counts."""
    place, chosen = place_of(manifest), manifest_metric(manifest).logged_as
    tries = [(cell, sorted_by_age(runs.get(cell.key, ()), place)) for cell in cells]
    # Of several runs of a trial a done one counts, else the latest.
    best = [max(of, key=lambda r: is_done(r.tags), default=None) for _, of in tries]
    names = {name for run in best if run for name in run.metrics}
    metrics = sorted(n for n in names if n == chosen or n.startswith(FINAL_PREFIXES))
    rows = [
        {
            "arm": cell.arm,
            "seed": cell.seed,
            "key": cell.key,
            **_tries(of, place),
            **_trial_row(run, metrics, place),
            "draws": _draws(run, chosen, place),
            "probed": tuple(sorted(n for n in run.metrics if n.startswith(PROBED)))
            if run
            else (),
            "health": {
                name: run.metrics[name]
                for name in HEALTH_METRICS
                if name in run.metrics and not math.isnan(run.metrics[name])
            }
            if run
            else {},
        }
        for (cell, of), run in zip(tries, best, strict=True)
    ]
    return pd.DataFrame(rows)


def _draws(run: StoredRun | None, metric: str, place: Location) -> tuple[float, ...]:
    if run is None:
        return ()
    return read_draws(run.tags, metric, Origin(place, run.run_id))


def _tries(runs: Sequence[StoredRun], place: Location) -> dict[str, Any]:
    """Count the tries of a trial over its runs, of which it mostly has one."""
    failed = [
        one
        for run in reversed(runs)
        for one in read_failed_tries(run.tags, run.status, Origin(place, run.run_id))
    ]
    others = [run for run in runs if run.tags.get(STATUS_TAG) in (None, *DONE)]
    return {"num_tries": len(failed) + len(others), "failed_tries": failed}


def read_record(client: Source, run_id: str, place: Location) -> Record | None:
    """The record of a trial, if it has one.

    Raises:
        StoreContentError: It cannot be read.
    """
    origin = Origin(place, run_id)
    text = reader_of(client).artifact(RECORD_ARTIFACT, origin)
    return None if text is None else parse(RECORD, text, origin, RECORD_ARTIFACT)


def _trial_row(
    run: StoredRun | None, metrics: Iterable[str], place: Location
) -> dict[str, Any]:
    if run is None:
        row: dict[str, Any] = {"status": "missing", "reason": "not run yet"}
        row |= {"notes": "", "run_id": "", "experiment_id": "", "ended": 0}
        row |= dict.fromkeys((*SOURCE_TAGS, "data_digest"), "")
        return row | dict.fromkeys(metrics, float("nan"))
    status, reason = read_status(run.tags, run.status, Origin(place, run.run_id))
    return {
        "status": status,
        "reason": reason,
        "notes": run.tags.get(NOTES_TAG, ""),
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "ended": run.ended,
        **{name: run.tags.get(tag, "") for name, tag in SOURCE_TAGS.items()},
        "data_digest": run.data_digest,
        **{name: run.metrics.get(name, float("nan")) for name in metrics},
    }


def sorted_by_age(runs: Iterable[StoredRun], place: Location) -> list[StoredRun]:
    """The runs, the last one first.

    Raises:
        StoreContentError: The time of one cannot be read.
    """

    def age(run: StoredRun) -> tuple[int, str]:
        opened = read_opened(run.tags, run.started, Origin(place, run.run_id))
        return opened, run.run_id

    return sorted(runs, key=age, reverse=True)
