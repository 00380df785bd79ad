"""``d2v prune``: removes kept encoders that no study of the store needs."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer
from rich.console import Console

from d2v_cli import options as o

MAX_NAMED = 20
"""Encoders that are named one by one."""


def prune(
    tracking_uri: o.TrackingUri = None,
    storage: o.Storage = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them without asking.")
    ] = False,
) -> None:
    """Remove kept encoders that no study of the store needs, after showing them."""
    from sweeps.plan.costing import people_bytes
    from sweeps.plan.needed import needed_trainings
    from sweeps.tracking.stores import check_stores, choose_stores
    from sweeps.worker.encoders import EncoderStore

    console = Console()
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores)
    encoders = EncoderStore(stores.encoders)
    kept = list(encoders.keys())
    needed = needed_trainings(stores) if kept else set()
    unneeded = [training for training in kept if training not in needed]
    size = people_bytes(sum(map(encoders.num_bytes, unneeded)))

    def show(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True, highlight=False)

    show(
        f"{stores.encoders}: {len(kept)} encoders, {len(unneeded)} not needed ({size})"
    )
    for training in unneeded[:MAX_NAMED]:
        show(f"  {training}  {people_bytes(encoders.num_bytes(training))}")
    if len(unneeded) > MAX_NAMED:
        show(f"  … and {len(unneeded) - MAX_NAMED} more")
    if broken := encoders.broken():
        show(f"{len(broken)} broken encoders were set aside")
    if not unneeded and not broken:
        return
    if not yes and not typer.confirm("remove them?"):
        raise typer.Exit(1)
    for training in unneeded:
        encoders.remove(training)
    for place in broken:
        shutil.rmtree(place)
    show(f"removed {len(unneeded)} encoders")
