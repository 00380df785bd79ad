"""``d2v train``: one configuration in this process, without Ray or a tracking store."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from d2v_cli import options as o

if TYPE_CHECKING:
    from d2v_core.config import TrialConfig
    from d2v_core.training.events import Event, Progress, Started

MATTER = (
    *("train/loss", "target/std", "prediction/gain"),
    *("train/accuracy", "prediction/std", "train/grad_norm", "optimizer/learning_rate"),
)
"""Metrics of a line of progress: the first three that an objective has."""
NUM_SHOWN = 3


def train(
    context: typer.Context,
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
    storage: o.Storage = None,
) -> None:
    """Train and evaluate one configuration in this process, without Ray or MLflow.

    The encoder is kept in the storage folder, for d2v export and d2v run.
    """
    from sweeps.driver.waiting import busy

    console = Console()
    with busy(console, "reading what is asked for"):
        from d2v_cli.recipe import resolve_recipe
        from d2v_core.errors import ConfigError, Problem
        from d2v_core.trained import TrainedEncoder, write_trained
        from d2v_core.training.events import Started, Trained
        from d2v_core.trial import run_trial

    trial = resolve_recipe(
        recipe, seed=seed, assignments=tuple(set_ or ()), data_root=data_root
    )
    o.check_data_root(context, [trial], console)
    if (num_workers := trial.execution.num_workers) > 1:
        requirement = "d2v train is one process, d2v run starts several; must be 1, got"
        raise ConfigError(
            [Problem("execution.num_workers", f"{requirement} {num_workers}")]
        )
    file = Path(checkpoint) if checkpoint else None
    place = _place(trial, storage)
    shown: dict[str, Any] = {}
    started = None
    for event in run_trial(trial, checkpoint=file):
        match event:
            case Started():
                started = event
                shown = {"data": event.data, "inventory": event.inventory}
            case Trained():
                trained = TrainedEncoder.taken_from(event.state, trial, **shown)
                write_trained(place, trained)
                console.print("trained; now it is evaluated")
        _show(event, started, file, console)
    line = f"the encoder is kept: d2v export {shlex.quote(str(place))} --to … --out …"
    console.print(line, markup=False, soft_wrap=True, highlight=False)


def _place(trial: TrialConfig, storage: str | None) -> Path:
    """Where its encoder is kept: under the key that d2v run would give it."""
    from ablations.identity import training_key
    from d2v_core.modalities import modality_of
    from sweeps.tracking.stores import choose_stores
    from sweeps.worker.encoders import EncoderStore

    key = training_key(trial, modality_of(trial).training_digest(trial))
    return EncoderStore(choose_stores(storage, None).encoders).place(key)


def progress_line(event: Progress, started: Started) -> str:
    """How far it is, what is left at the speed so far, and what matters most."""
    from sweeps.plan.durations import duration

    per_update = (event.seconds - started.seconds) / max(1, event.step - started.step)
    rest = duration(per_update * (started.num_steps - event.step))
    names = [name for name in MATTER if name in event.metrics][:NUM_SHOWN]
    shown = [f"{n.removeprefix('train/')} {event.metrics[n]:.4g}" for n in names]
    width, percent = len(str(started.num_steps)), 100 * event.step // started.num_steps
    return "  ".join(
        [
            f"{event.step:>{width}}/{started.num_steps} {percent:3d} %",
            f"{duration(event.seconds)}  ETA {rest}",
            *shown,
        ]
    )


def _show(
    event: Event, started: Started | None, file: Path | None, console: Console
) -> None:
    """Print what happened, line by line, and save when it is time."""
    from d2v_core.training.events import (
        CheckpointDue,
        Collapsed,
        Finished,
        Progress,
        Started,
        Trained,
    )

    match event:
        case Started():
            resumed = f", resumed at {event.step}" if event.step else ""
            console.print(
                f"{event.num_parameters:,} parameters, "
                f"{event.num_steps:,} updates{resumed}"
            )
            console.print(event.data, markup=False, soft_wrap=True)
        case Progress() if started is not None:
            line = progress_line(event, started)
            console.print(line, soft_wrap=True, highlight=False)
        case CheckpointDue() | Trained() if file is not None:
            event.save(file)
        case Collapsed():
            console.print(str(event.collapse), style="yellow", markup=False)
        case Finished():
            console.print(f"{event.status} after {event.step:,} updates")
            for name, value in event.metrics.items():
                console.print(f"  {name} {value:.2f}")
            for note in event.notes:
                console.print(f"  note: {note}", markup=False)
