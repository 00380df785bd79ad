"""Finds the kept encoder of a cell of a study in the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.record import Manifest, ManifestCell
from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem
from sweeps.tracking.stores import Stores
from sweeps.tracking.tracker import Tracker
from sweeps.worker.encoders import EncoderStore


@dataclass(frozen=True)
class Wanted:
    """Which cell is meant; None: the only one, or that of the study's last run.

    Attributes:
        study: Name of the study.
        arm: Label of the arm.
        seed: The first one there is, if None.
        modality: The run's.
        scale: Likewise.
    """

    study: str
    arm: str
    seed: int | None = None
    modality: str | None = None
    scale: str | None = None


def find_kept(stores: Stores, wanted: Wanted) -> tuple[ManifestCell, Path]:
    """The cell, and the folder of its encoder.

    Raises:
        ConfigError: There is no such study, arm or seed, or its encoder is not kept.
    """
    manifest = _last_run(stores, wanted)
    arms = list(dict.fromkeys(cell.arm for cell in manifest.cells))
    if wanted.arm not in arms:
        raise ConfigError([Problem("--arm", one_of(arms, wanted.arm))])
    cells = [cell for cell in manifest.cells if cell.arm == wanted.arm]
    seeds = sorted(cell.seed for cell in cells)
    seed = seeds[0] if wanted.seed is None else wanted.seed
    if seed not in seeds:
        message = f"must be one of {', '.join(map(str, seeds))}, got {seed}"
        raise ConfigError([Problem("--seed", message)])
    cell = next(cell for cell in cells if cell.seed == seed)
    encoders = EncoderStore(stores.encoders)
    if not cell.training or not encoders.has(cell.training):
        message = f"the encoder of {wanted.arm}, seed {seed}, is not kept"
        place = f"--scale {manifest.scale} --modality {manifest.modality}"
        if manifest.recipe:
            place = f"--recipe {manifest.recipe}"
        again = f"d2v run {wanted.study} {place} trains what the store lacks"
        problem = Problem("--study", f"{message} in {stores.encoders}; {again}")
        raise ConfigError([problem])
    return cell, encoders.place(cell.training)


def _last_run(stores: Stores, wanted: Wanted) -> Manifest:
    """What the newest run of the study that fits has planned."""
    manifests = [] if stores.is_new else Tracker(stores, "d2v export").manifests()
    names = sorted({manifest.study["name"] for manifest in manifests})
    if not names:
        message = f"there is no study in {stores.shown_uri}; d2v run makes one"
        raise ConfigError([Problem("--study", message)])
    if wanted.study not in names:
        raise ConfigError([Problem("--study", one_of(names, wanted.study))])
    for manifest in manifests:
        if (
            manifest.study["name"] == wanted.study
            and wanted.modality in (None, manifest.modality)
            and wanted.scale in (None, manifest.scale)
        ):
            return manifest
    message = f"{wanted.study} was not run for {wanted.modality or 'any modality'}"
    message += f" at {wanted.scale or 'any scale'} in {stores.shown_uri}"
    raise ConfigError([Problem("--study", message)])
