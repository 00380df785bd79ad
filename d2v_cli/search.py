"""``d2v search``: the best setting of a space, and the path from the paper's to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o
from d2v_cli.commands import made_command, typed_command
from d2v_cli.run import run
from d2v_cli.showing import show_outcome


def search(
    context: typer.Context,
    space: Annotated[
        str,
        typer.Argument(help="A shipped search space (tau_mask_k), or a YAML of yours."),
    ],
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="How many in all, those of earlier runs included; default: the "
            "space's.",
        ),
    ] = None,
    scale: o.Scale = "smoke",
    modality: o.Modality = "vision",
    set_: o.Set = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of every trial and of the suggestions.")
    ] = 0,
    path_seeds: Annotated[
        str | None,
        typer.Option(
            help="Also train the ablation path, with so many seeds (6) that the "
            "search has not seen, or with these (0,1,7)."
        ),
    ] = None,
    data_root: o.DataRoot = None,
    recipe: o.Recipe = None,
    gpu_share: o.GpuShare = None,
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    optuna_storage: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Optuna's database; default: search.db in the storage folder.",
        ),
    ] = None,
    address: o.Address = None,
) -> None:
    """Look for a better setting than the paper's, then for what makes it better.

    Begins with the paper's setting; the same command continues a search that was
    stopped. Selects on the validation split; the ablation path reports the test split.
    """
    from sweeps.driver.waiting import busy

    console = Console()
    with busy(console, "reading what is asked for"):
        from ablations.library import read_space
        from ablations.search.bound_space import bind
        from sweeps.search.run import run_search
        from sweeps.search.study import default_storage
        from sweeps.tracking.stores import (
            check_address,
            check_search_storage,
            check_stores,
            choose_stores,
        )

    if path_seeds is not None:
        chosen = o.parse_seeds(path_seeds)
        if "," not in path_seeds:
            chosen = tuple(seed + 1 + number for number in chosen)
        path_seeds = ",".join(map(str, chosen)) + ","
    settings = [*(set_ or ()), *o.gpu_assignment(gpu_share)]
    request = o.make_request(
        context, scale, modality, f"{seed},", settings, data_root, recipe
    )
    bound = bind(read_space(space), request)
    o.check_data_root(context, [bound.base], console)
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores, [f"{bound.space.name}_search"])
    optuna_storage = check_search_storage(
        stores, optuna_storage or default_storage(stores)
    )
    check_address(address)
    searched = run_search(
        bound,
        stores,
        num_trials=trials if trials is not None else bound.space.trials,
        optuna_storage=optuna_storage,
        command=typed_command(stores, data_root),
        console=console,
        address=address,
    )
    options = {
        "--recipe": recipe,
        "--scale": None if recipe else scale,
        "--modality": None if recipe else modality,
        "--set": settings,
        "--data-root": data_root,
    }
    path = _show_results(bound, searched, stores, options, console)
    show_outcome(searched.outcome, stores, console)
    serious = [r for r in searched.outcome.failed if r.status != "diverged"]
    if searched.outcome.interrupted or serious:
        raise typer.Exit(1)
    if path is not None and path_seeds is not None:
        run(
            context,
            [str(path)],
            scale=scale,
            modality=modality,
            seeds=path_seeds,
            set_=settings,
            data_root=data_root,
            recipe=recipe,
            tracking_uri=tracking_uri,
            storage=storage,
            address=address,
        )


def _show_results(
    bound: Any,
    searched: Any,
    stores: Any,
    options: Mapping[str, Sequence[str] | str | None],
    console: Console,
) -> Path | None:
    """Write and print what came out; the ablation path, if there is one."""
    from reports.search import search_console, write_search
    from sweeps.search.results import write_results

    results = write_results(bound, searched, stores)
    command = ""
    if results.path is not None:
        command = made_command("run", [str(results.path)], stores, options)
    files = write_search(results.outcome, results.folder, command)
    console.print(search_console(results.outcome))
    lines = {
        "search": files["search.html"],
        "best setting": results.best,
        "ablation path": command,
    }
    for what, where in lines.items():
        if where:
            console.print(f"{what}: {where}", soft_wrap=True, markup=False)
    return results.path
