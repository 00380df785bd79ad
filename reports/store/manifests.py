"""Which studies a store has, and their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ablations.mlflow_names import (
    MANIFEST_ARTIFACT,
    MODALITY_TAG,
    REQUEST_TAG,
    SCALE_TAG,
)
from ablations.record import Manifest
from d2v_core.config.parsing import nearest
from d2v_core.errors import ConfigError, Problem
from reports.store.foreign import Location, Origin, StoreContentError
from reports.store.frames import sorted_by_age
from reports.store.plan_checks import read_manifest
from reports.store.reader import Source, reader_of
from reports.store.runs import StoredRun
from reports.text import quoted, visible


@dataclass(frozen=True)
class PlannedStudy:
    """A study of the store.

    Attributes:
        manifest: Its plan.
        run_id: Its parent run.
        experiment_id: Where that run and, mostly, its trials are.
    """

    manifest: Manifest
    run_id: str
    experiment_id: str


def place_name(manifest: Manifest) -> str:
    """Name of everything about one report: ``layer_averaging-vision-laptop``."""
    return f"{manifest.study['name']}-{manifest.modality}-{manifest.scale}"


def find_manifest(
    client: Source,
    study: str,
    modality: str,
    scale: str,
    request_id: str | None = None,
) -> PlannedStudy:
    """The plan of a study and its parent run.

    Where several requests answer to the same study, modality and scale (they differ in
    ``--set``), the one run last is taken, or the one with ``request_id``.

    Raises:
        ConfigError: The store has no such study run; says which ones it has.
    """
    parents = _parents(client, request_id)
    wanted = (study, modality, scale)
    if wanted not in parents:
        raise ConfigError([_unknown_study(wanted, parents, reader_of(client).name)])
    return _latest(client, parents[wanted], wanted)


def all_manifests(
    client: Source,
    modality: str | None = None,
    scale: str | None = None,
    on_fault: Callable[[StoreContentError], None] = lambda fault: None,
) -> list[PlannedStudy]:
    """The last request of every study, modality and scale, in this order.

    Args:
        client: A client of the store, or another reader.
        modality: Only this one.
        scale: Only this one.
        on_fault: Called for every study whose plan cannot be used; the others are
            returned all the same.
    """
    parents = _parents(client, None)
    planned = []
    for place in sorted(parents):
        if modality in (None, place[1]) and scale in (None, place[2]):
            try:
                planned.append(_latest(client, parents[place], place))
            except StoreContentError as fault:
                on_fault(fault)
    return planned


def no_study(*wanted: str | None) -> ConfigError:
    """The refusal of a store without a study run of this kind."""
    which = ", ".join(part for part in wanted if part)
    kind = f" ({which})" if which else ""
    requirement = f"this tracking store has no study run{kind}; run a study first"
    return ConfigError([Problem("", f"{requirement} (d2v run layer_averaging)")])


def _parents(client: Source, request_id: str | None) -> dict[Location, list[StoredRun]]:
    parents: dict[Location, list[StoredRun]] = {}
    for name, run in reader_of(client).parents():
        if request_id not in (None, run.tags.get(REQUEST_TAG)):
            continue
        place = (
            name,
            run.tags.get(MODALITY_TAG, ""),
            run.tags.get(SCALE_TAG, ""),
        )
        parents.setdefault(place, []).append(run)
    return parents


def _latest(client: Source, runs: Iterable[StoredRun], place: Location) -> PlannedStudy:
    """The youngest that has its plan.

    Raises:
        StoreContentError: It cannot be used, or there is none.
    """
    ordered = sorted_by_age(runs, place)
    for run in ordered:
        origin = Origin(place, run.run_id)
        text = reader_of(client).artifact(MANIFEST_ARTIFACT, origin)
        if text is not None:
            manifest = read_manifest(text, origin, MANIFEST_ARTIFACT)
            return PlannedStudy(manifest, run.run_id, run.experiment_id)
    lacking = "the run has none; run the study again"
    raise Origin(place, ordered[0].run_id).fault(MANIFEST_ARTIFACT, lacking)


def _unknown_study(wanted: Location, known: Iterable[Location], where: str) -> Problem:
    described = f"{quoted(wanted[0])} ({wanted[1]}, {wanted[2]})"
    places = sorted(known)
    if not places:
        return Problem("", f"{where} has no study run; wanted {described}")
    names = {name for name, _, _ in places}
    hint = "" if wanted[0] in names else nearest(names, wanted[0])
    listed = ", ".join(f"{name} ({kind}, {scale})" for name, kind, scale in places)
    has = visible(f"it has {listed}{hint}")
    return Problem("", f"{where} has no run of {described}; {has}")
