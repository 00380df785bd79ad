"""``d2v export``: the encoder of a checkpoint as a folder for others' libraries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from d2v_cli.single import resolve_recipe
from d2v_core.build import build_objective, check_buildable
from d2v_core.config import TrialConfig, modality_name
from d2v_core.config.parsing import one_of
from d2v_core.encoders.encoder import Encoder
from d2v_core.errors import ConfigError, Problem
from d2v_core.export import EXPORTERS
from d2v_core.training.checkpoint import read_checkpoint, restore_networks

OPENED_BY = {
    "hf": "transformers.AutoModel.from_pretrained({folder!r})",
    "timm": "timm.create_model({source!r}, pretrained=True)",
}


def export_checkpoint(
    checkpoint: str,
    *,
    recipe: str,
    assignments: tuple[str, ...],
    to: str,
    network: str,
    out: str,
    console: Console,
) -> None:
    """Write the folder and say how to open it.

    Raises:
        ConfigError: An option is wrong, the checkpoint was not written with this
            recipe, or the format cannot express the encoder.
    """
    trial = resolve_recipe(recipe, seed=0, assignments=assignments, data_root=None)
    exporters = EXPORTERS[modality_name(trial)]
    _check_choices(to, network, list(exporters))
    check_buildable(trial)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError([Problem("--out", f"must be a folder, {out!r} is a file")])
    content = _read(checkpoint)
    encoder = _restored(trial, Path(checkpoint), content, network)
    try:
        exporters[to](encoder, folder, **content.get("preprocessing", {}))
    except ValueError as error:
        raise ConfigError([Problem(f"--to {to}", str(error))]) from None
    hint = OPENED_BY[to].format(folder=str(folder), source=f"local-dir:{folder}")
    console.print(
        f"exported the {network} after {content['step']:,} updates to {folder}\n"
        f"open it with {hint}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _check_choices(to: str, network: str, formats: list[str]) -> None:
    options = {
        "--to": (to, formats),
        "--network": (network, ["student", "teacher"]),
    }
    if problems := [
        Problem(name, one_of(known, given))
        for name, (given, known) in options.items()
        if given not in known
    ]:
        raise ConfigError(problems)


def _read(checkpoint: str) -> dict[str, Any]:
    file = Path(checkpoint)
    if not file.is_file():
        rule = f"no such file {checkpoint!r}; d2v train --checkpoint writes one"
        raise ConfigError([Problem("checkpoint", rule)])
    return read_checkpoint(file, torch.device("cpu"))


def _restored(
    trial: TrialConfig, file: Path, content: Mapping[str, Any], network: str
) -> Encoder:
    num_classes = len(content["module"].get("classifier.bias", [0]))
    objective = build_objective(trial, num_classes=num_classes)
    restore_networks(file, content, objective)
    return objective.network("teacher" if network == "teacher" else "student")
