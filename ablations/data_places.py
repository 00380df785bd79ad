"""Where a trial's data lies: paths made whole, and the source that reads a folder.

Settled once, where the command is typed, for workers stand in another folder. A
``data.folder`` that is set after ``data.source`` chooses the source by what lies there,
so that ``--set data.folder=/my/photos`` is enough on any recipe.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from ablations.yaml_source import DataPath
from d2v_core.config.parsing import known_settings
from d2v_core.data.layouts import LAYOUTS, source_of

FOLDER_SETTINGS = ("data.folder", "evaluation.data.folder")


class Place(Protocol):
    """A layer of settings, as far as its paths go."""

    @property
    def folder(self) -> Path | None:
        """Where its relative paths start; None: where the command was typed."""

    @property
    def if_known(self) -> bool:
        """Whether it only offers its settings."""


@dataclass(frozen=True)
class PlacedSettings:
    """Merged settings and where they come from.

    Attributes:
        data: The settings; changed.
        origins: The layer that gave each.
        layers: All layers, later ones win.
        model: The trial's type.
    """

    data: dict[str, Any]
    origins: Mapping[DataPath, Place]
    layers: Sequence[Place]
    model: type[BaseModel]


def whole_assignment(assignment: str, data_root: str | None) -> str:
    """A ``--set`` of a folder that means the same wherever it is typed; else unchanged.

    Args:
        assignment: ``data.folder=photos``.
        data_root: Where a folder of that name is left as it stands.
    """
    path, equals, folder = assignment.partition("=")
    if path.strip() not in FOLDER_SETTINGS or not folder or "\0" in folder:
        return assignment
    folder = os.path.expanduser(folder)
    if data_root is not None and os.path.isdir(os.path.join(data_root, folder)):
        return f"{path}={folder}"
    whole = os.path.abspath(folder)
    return f"{path}={whole if os.path.exists(whole) else folder}"


def settle_data(placed: PlacedSettings) -> None:
    """Make the paths of ``data`` and ``evaluation.data`` whole; choose the source."""
    section = placed.data["data"]
    root = _settle_root(section, placed)
    _settle_folder(section, ("data",), root, placed)
    evaluation = placed.data.get("evaluation")
    probed = evaluation.get("data") if isinstance(evaluation, dict) else None
    if isinstance(probed, dict):
        path = ("evaluation", "data")
        known = known_settings(placed.model, (*path, str(probed.get("source"))))
        if root is not None and "root" in known:
            probed.setdefault("root", root)
        _settle_folder(probed, path, root, placed)


def _settle_root(section: Any, placed: PlacedSettings) -> str | None:
    """Make the data root absolute; embedded data has none, its evaluation may."""
    layer = placed.origins.get(("data", "root"))
    if layer is None or not isinstance(section, dict):
        return None
    known = known_settings(placed.model, ("data", str(section.get("source"))))
    if isinstance(section.get("root"), str):
        section["root"] = _whole(section["root"], layer)
    root = section.get("root")
    if layer.if_known and "root" not in known:
        section.pop("root", None)
    return root if isinstance(root, str) else None


def _whole(path: str, layer: Place) -> str:
    # Plain text work: what is no path at all is refused where the data is read.
    folder = layer.folder or Path.cwd()
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))


def _settle_folder(
    section: Any, path: DataPath, root: str | None, placed: PlacedSettings
) -> None:
    # Where there was null before, the section was set as a whole.
    whole = placed.origins.get(path) if path != ("data",) else None
    layer = placed.origins.get((*path, "folder"), whole)
    if layer is None or not isinstance(section, dict):
        return
    folder = section.get("folder")
    if not isinstance(folder, str) or not folder or "\0" in folder:
        return
    if folder.startswith("~"):
        folder = os.path.expanduser(folder)
    below = os.path.join(root, folder) if root is not None else folder
    if not os.path.isabs(folder) and not (root is not None and os.path.isdir(below)):
        typed = _whole(folder, layer)
        if os.path.exists(typed):
            folder = below = typed
    section["folder"] = folder
    is_folder = os.path.isabs(below) and os.path.isdir(below)
    if path == ("data",) and is_folder and _follows_source(placed):
        _choose_source(section, Path(below), placed)


def _follows_source(placed: PlacedSettings) -> bool:
    """Whether the folder was set by a later layer than the source."""
    places = [id(layer) for layer in placed.layers]
    folder = placed.origins[("data", "folder")]
    source = placed.origins.get(("data", "source"))
    return source is None or places.index(id(source)) < places.index(id(folder))


def _choose_source(
    section: dict[str, Any], folder: Path, placed: PlacedSettings
) -> None:
    modality = placed.data.get("modality")
    if modality not in LAYOUTS:
        return
    source = source_of(str(modality), folder)
    if source == section.get("source"):
        return
    known = set(known_settings(placed.model, ("data", source)))
    chooser = placed.origins[("data", "folder")]
    for key in section.keys() - known:
        # What was set together with the folder is a mistake, to be named as such.
        if placed.origins.get(("data", key)) is not chooser:
            del section[key]
    section["source"] = source
