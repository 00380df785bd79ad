"""``d2v run``, ``train`` and ``export``."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.reporting import show_study


def run(
    study: o.Studies,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    seeds: o.Seeds = None,
    set_: o.Set = None,
    data_root: o.DataRoot = None,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    address: o.Address = None,
) -> None:
    """Train every trial the store lacks, then print the table and write the report.

    Trials that are already in the store are found by key and not trained again; a
    stopped run continues where it was.
    """
    from sweeps.planning import plan_study, seed_warning
    from sweeps.run import run_studies
    from sweeps.stores import check_address, check_stores, choose_stores

    console = Console()
    request = o.make_request(scale, modality, seeds, set_, data_root)
    plans = [plan_study(name, request) for name in study]
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores)
    check_address(address)
    for warning in {seed_warning(p.seeds) for p in plans} - {None}:
        note = f"note: {warning}"
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    outcome = run_studies(
        plans, stores, command=_command_line(), console=console, address=address
    )
    console.print(outcome.sentence(), markup=False)
    for planned in plans:
        show_study(planned.name, request, stores, console)
    if stores.database is not None:
        option = f" --storage {storage}" if storage else ""
        console.print(f"compare in MLflow: d2v ui{option}", markup=False)
    for record in outcome.failed:
        console.print(
            f"failed: {record.key}: {record.reason}", style="red", markup=False
        )
    if outcome.interrupted:
        console.print(
            "stopped before the end; the same command continues.", style="yellow"
        )
    if outcome.failed or outcome.interrupted:
        raise typer.Exit(1)


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe (vision-smoke) or a YAML file of yours.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    set_: o.Set = None,
    data_root: o.DataRoot = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="File to save to, the final state too, and to continue from, if it "
            "exists."
        ),
    ] = None,
) -> None:
    """Train and evaluate one configuration in this process, without Ray or MLflow."""
    from sweeps.single import train_recipe

    train_recipe(
        recipe,
        seed=seed,
        assignments=tuple(set_ or ()),
        data_root=data_root,
        checkpoint=checkpoint,
        console=Console(),
    )


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
    from sweeps.exporting import export_checkpoint

    export_checkpoint(
        checkpoint,
        recipe=recipe,
        assignments=tuple(set_ or ()),
        to=to,
        network=network,
        out=out,
        console=Console(),
    )


def _command_line() -> str:
    return shlex.join(["d2v", *sys.argv[1:]])
