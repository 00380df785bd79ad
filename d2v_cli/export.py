"""``d2v export``: the encoder of a checkpoint as a folder for others' libraries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o

if TYPE_CHECKING:
    from d2v_core.config import TrialConfig
    from d2v_core.encoders.encoder import Encoder

OPENED_BY = {
    "hf": "transformers.AutoModel.from_pretrained({folder!r})",
    "timm": "timm.create_model({source!r}, pretrained=True)",
}


def export(
    checkpoint: Annotated[
        str, typer.Argument(help="A file that d2v train --checkpoint has written.")
    ],
    recipe: Annotated[str, typer.Option(help="What it was trained with.")],
    to: Annotated[str, typer.Option(help="hf: Hugging Face transformers; timm.")],
    out: Annotated[str, typer.Option(help="Folder to write.")],
    network: Annotated[str, typer.Option(help="student or teacher.")] = "student",
    set_: o.Set = None,
) -> None:
    """Write a trained encoder as a folder that transformers or timm opens."""
    from d2v_cli.recipe import resolve_recipe
    from d2v_core.config import modality_name
    from d2v_core.errors import ConfigError, Problem
    from d2v_core.export import EXPORTERS

    trial = resolve_recipe(
        recipe, seed=0, assignments=tuple(set_ or ()), data_root=None
    )
    exporters = EXPORTERS[modality_name(trial)]
    _check_choices(to, network, list(exporters))
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
    Console().print(
        f"exported the {network} after {content['step']:,} updates to {folder}\n"
        f"open it with {hint}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _check_choices(to: str, network: str, formats: list[str]) -> None:
    from d2v_core.config.parsing import one_of
    from d2v_core.errors import ConfigError, Problem

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
    import torch

    from d2v_core.errors import ConfigError, Problem
    from d2v_core.training.checkpoint import read_checkpoint

    file = Path(checkpoint)
    if not file.is_file():
        requirement = f"no such file {checkpoint!r}; d2v train --checkpoint writes one"
        raise ConfigError([Problem("checkpoint", requirement)])
    return read_checkpoint(file, torch.device("cpu"))


def _restored(
    trial: TrialConfig, file: Path, content: Mapping[str, Any], network: str
) -> Encoder:
    from d2v_core.build import build_objective
    from d2v_core.training.checkpoint import restore_networks

    num_classes = len(content["module"].get("classifier.bias", [0]))
    objective = build_objective(trial, num_classes=num_classes)
    restore_networks(file, content, objective)
    return objective.network("teacher" if network == "teacher" else "student")
