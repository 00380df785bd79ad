"""What differs from the paper's recipe, computed from the configurations."""

from __future__ import annotations

from typing import Any

from ablations.layers import Layer, resolve
from ablations.library import read_recipe
from d2v_core.config import TrialConfig, leaves

NOT_COMPARED = ("execution.", "seed", "data.root", "data.download", "sources.")
ABSENT = "–"


def differences_from_paper(
    trial: TrialConfig, modality: str
) -> list[tuple[str, Any, Any]]:
    """Every setting that differs: path, ours, the paper's (``–`` where none)."""
    paper = resolve(modality, [Layer.from_yaml(read_recipe(f"{modality}-paper"))])
    ours, theirs = dict(leaves(trial)), dict(leaves(paper))
    return [
        (path, _plain(ours.get(path, ABSENT)), _plain(theirs.get(path, ABSENT)))
        for path in [*ours, *(path for path in theirs if path not in ours)]
        if not path.startswith(NOT_COMPARED)
        and ours.get(path, ABSENT) != theirs.get(path, ABSENT)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
