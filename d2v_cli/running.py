"""``d2v run``, ``train`` and ``export``."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from ablations.redaction import redacted
from d2v_cli import options as o
from d2v_cli.commands import made_command, typed_command
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
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Launch no seed that would not be done in this time: 2h, 90m.",
        ),
    ] = None,
    bars: Annotated[
        bool, typer.Option("--bars", help="A progress bar for each running trial.")
    ] = False,
) -> None:
    """Train every trial the store lacks, then print the table and write the report.

    Trials that are already in the store are found by key and not trained again; a
    stopped run continues where it was.
    """
    from ablations.library import load_study
    from ablations.study.arms import expand
    from sweeps.plan.durations import parse_budget
    from sweeps.ray.session import RaySession
    from sweeps.tracking.stores import check_address, check_stores, choose_stores

    console = Console()
    request = o.make_request(scale, modality, seeds, set_, data_root)
    budget_seconds = parse_budget(budget) if budget is not None else None
    studies = [expand(load_study(name), request) for name in study]
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores, [each.study.name for each in studies])
    check_address(address)
    with RaySession(address, stores) as session:
        if stores.is_new and budget is None:  # which would time steps beside it
            # All has to be trained: Ray starts while the rest is read.
            session.begin([cell.trial for each in studies for cell in each.cells])
        from sweeps.driver.run import run_studies
        from sweeps.plan.planning import plan_expanded, seed_warning  # torch: 2 s

        plans = [plan_expanded(each) for each in studies]
        for warning in {seed_warning(p.seeds) for p in plans} - {None}:
            note = f"note: {warning}"
            console.print(note, style="yellow", markup=False, soft_wrap=True)
        outcome = run_studies(
            plans,
            stores,
            session,
            command=typed_command(stores, data_root),
            console=console,
            budget_seconds=budget_seconds,
            bars=bars,
        )
    for planned in plans:
        show_study(planned.name, request, stores, console)
    show_outcome(outcome, stores, console)
    if outcome.failed or outcome.interrupted:
        raise typer.Exit(1)


def show_outcome(outcome: Any, stores: Any, console: Console) -> None:
    """What happened, and where everything is."""

    def show(line: str, style: str | None = None) -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    show(outcome.sentence())
    show(f"store: {stores.shown_uri}")
    if stores.database is not None:
        show(f"compare in MLflow: {made_command('ui', [], stores, {})}")
    show(f"event log: {outcome.event_log}")
    if outcome.num_unfinished or outcome.failed:
        show(f"unfinished trials: {stores.checkpoints}")
    for record in outcome.failed:
        show(redacted(f"{record.status}: {record.key}: {record.reason}"), "red")
    if outcome.trouble:
        free = "what has finished is safe; make space, then give the same command again"
        show(f"no space left: {outcome.trouble}; {free}", "red")
    elif outcome.num_unfinished:
        show("not all trials have a result; the same command continues.", "yellow")


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
    from d2v_cli.single import train_recipe

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
    from d2v_cli.exporting import export_checkpoint

    export_checkpoint(
        checkpoint,
        recipe=recipe,
        assignments=tuple(set_ or ()),
        to=to,
        network=network,
        out=out,
        console=Console(),
    )
