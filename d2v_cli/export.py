"""``d2v export``: a trained encoder as a folder for others' libraries."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o

if TYPE_CHECKING:
    from d2v_core.config import TrialConfig
    from d2v_core.config.choices import Network
    from d2v_core.encoders.encoder import Encoder
    from d2v_core.export.hf_choice import Exported

HF, TIMM, MLFLOW = "hf", "timm", "mlflow"
OPENED_BY = {
    HF: "transformers.AutoModel.from_pretrained({folder!r})",
    TIMM: "timm.create_model({source!r}, pretrained=True)",
    MLFLOW: "from mlflow import pyfunc; pyfunc.load_model({folder!r})",
}


def export(
    context: typer.Context,
    to: Annotated[
        str, typer.Option(help="hf: Hugging Face transformers; timm; mlflow.")
    ],
    out: Annotated[str, typer.Option(help="Folder to write.")],
    source: Annotated[
        str | None,
        typer.Argument(
            help="A kept encoder's folder, or a file that d2v train --checkpoint has "
            "written; left out with --study."
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Study of the store, for a kept encoder.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Its arm: K=3.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which seed of the arm; default: the first.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="What a checkpoint was trained with.")
    ] = None,
    network: Annotated[str, typer.Option(help="student or teacher.")] = "student",
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    set_: o.Set = None,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
) -> None:
    """Write a trained encoder as a folder that transformers, timm or MLflow opens.

    A kept encoder is named by its study, arm and seed, or by its folder; of several
    runs of a study the last one counts, unless --scale or --modality says which.
    """
    from d2v_core.errors import ConfigError, Problem

    chosen = _checked(to, network)
    if (source is None) == (study is None):
        message = "must be given, or else a kept encoder's folder or a checkpoint"
        raise ConfigError([Problem("--study", message)])
    if study is not None:
        from sweeps.plan.kept import Wanted, find_kept
        from sweeps.tracking.stores import check_stores, choose_stores

        if arm is None:
            message = "must say which row of the study, such as K=3"
            raise ConfigError([Problem("--arm", message)])
        stores = choose_stores(storage, tracking_uri)
        check_stores(stores)
        wanted = Wanted(study, arm, seed, *o.chosen(context, modality, scale))
        kept: Path | None = find_kept(stores, wanted)[1]
    else:
        kept = Path(source) if source and Path(source).is_dir() else None
    if kept is not None:
        trained = _of_kept(kept, chosen)
    else:
        trained = _of_checkpoint(str(source), recipe, tuple(set_ or ()), chosen)
    _say(trained, to, Path(out), _write(trained, to, Path(out)))


@dataclass(frozen=True)
class Trained:
    """What is exported.

    Attributes:
        encoder: The network.
        trial: What it was trained with.
        preprocessing: As the exporters take it.
        step: Updates it was trained for.
        network: Which of the two it is.
        kept: Its folder; None: it comes from a checkpoint.
    """

    encoder: Encoder
    trial: TrialConfig
    preprocessing: Mapping[str, Any]
    step: int
    network: Network
    kept: Path | None = None


def _of_kept(folder: Path, network: Network) -> Trained:
    from d2v_core.loading import load_encoder

    loaded = load_encoder(folder, network)
    about = (loaded.trial, loaded.preprocessing, loaded.step)
    return Trained(loaded.encoder, *about, network, folder)


def _of_checkpoint(
    file: str, recipe: str | None, assignments: tuple[str, ...], network: Network
) -> Trained:
    import torch

    from d2v_cli.recipe import resolve_recipe
    from d2v_core.build import build_objective
    from d2v_core.errors import ConfigError, Problem
    from d2v_core.training.checkpoint import read_checkpoint, restore_networks

    path = Path(file)
    if not path.is_file():
        message = f"no such file {file!r}; d2v train --checkpoint writes one, d2v run "
        message += "and d2v train keep encoders as folders"
        raise ConfigError([Problem("checkpoint", message)])
    if recipe is None:
        message = "must say what the checkpoint was trained with, such as vision-smoke"
        raise ConfigError([Problem("--recipe", message)])
    trial = resolve_recipe(recipe, seed=0, assignments=assignments, data_root=None)
    content = read_checkpoint(path, torch.device("cpu"))
    num_classes = len(content["module"].get("classifier.bias", [0]))
    objective = build_objective(trial, num_classes=num_classes)
    restore_networks(path, content, objective)
    encoder = objective.network(network)
    preprocessing = content.get("preprocessing", {})
    return Trained(encoder, trial, preprocessing, content["step"], network)


def _write(trained: Trained, to: str, folder: Path) -> Exported | None:
    """Write the folder; what class of transformers opens it, if one does."""
    from d2v_core.config import modality_name
    from d2v_core.config.parsing import one_of
    from d2v_core.errors import ConfigError, Problem
    from d2v_core.export import EXPORTERS
    from d2v_core.export.hf_choice import export_for_objective

    modality = modality_name(trained.trial)
    exporters = EXPORTERS[modality]
    if to not in (*exporters, MLFLOW):
        raise ConfigError([Problem("--to", one_of([*exporters, MLFLOW], to))])
    if folder.exists() and not folder.is_dir():
        message = f"must be a folder, {str(folder)!r} is a file"
        raise ConfigError([Problem("--out", message)])
    if to == MLFLOW:
        _write_model(trained, folder)
        return None
    encoder, preprocessing = trained.encoder, trained.preprocessing
    try:
        if to == HF:
            return export_for_objective(
                encoder,
                folder,
                modality=modality,
                objective=trained.trial.objective,
                preprocessing=preprocessing,
            )
        exporters[to](encoder, folder, **preprocessing)
    except ValueError as error:
        others = [name for name in (*exporters, MLFLOW) if name != to]
        instead = " or ".join(f"--to {name}" for name in others)
        problem = Problem(f"--to {to}", f"{error}; try {instead}")
        raise ConfigError([problem]) from None
    return None


def _write_model(trained: Trained, folder: Path) -> None:
    from d2v_core.errors import ConfigError, Problem

    if trained.kept is None:
        message = "needs a kept encoder, as d2v run leaves (--study, or its folder)"
        raise ConfigError([Problem("--to mlflow", message)])
    if folder.exists() and any(folder.iterdir()):
        message = f"must be a new or empty folder, {str(folder)!r} holds files"
        raise ConfigError([Problem("--out", message)])
    with warnings.catch_warnings():
        # MLflow advises type hints, which it takes for a schema of the samples.
        warnings.simplefilter("ignore")
        from sweeps.tracking.encoder_model import save_encoder_model

        save_encoder_model(trained.kept, folder, trained.network)


def _say(trained: Trained, to: str, folder: Path, exported: Exported | None) -> None:
    hint = OPENED_BY[to].format(folder=str(folder), source=f"local-dir:{folder}")
    lines = [
        f"exported the {trained.network} after {trained.step:,} updates to {folder}",
        f"open it with {hint}",
    ]
    if exported is not None:
        lines[1] += f", which gives a {exported.class_name}"
        lines += exported.remarks
    Console().print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


def _checked(to: str, network: str) -> Network:
    """The network, if both are names that something has.

    Whether a modality has the format is known once the encoder is.
    """
    from d2v_core.config.parsing import one_of
    from d2v_core.errors import ConfigError, Problem
    from d2v_core.export import EXPORTERS
    from d2v_core.trained import NETWORKS

    formats = sorted(
        {MLFLOW, *(each for known in EXPORTERS.values() for each in known)}
    )
    known = [each for each in NETWORKS if each == network]
    problems = [Problem("--to", one_of(formats, to))] * (to not in formats)
    if not known:
        problems.append(Problem("--network", one_of(list(NETWORKS), network)))
    if problems:
        raise ConfigError(problems)
    return known[0]
