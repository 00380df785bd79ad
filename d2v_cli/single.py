"""``d2v train``: one configuration in this process, without Ray or a tracking store."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ablations.layers import Layer, parse_assignments, resolve, set_layer
from ablations.library import read_recipe
from ablations.study.arms import data_root_layer
from d2v_core.build import check_buildable
from d2v_core.config import TRIAL_TYPES, TrialConfig
from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem
from d2v_core.training.events import (
    CheckpointDue,
    Collapsed,
    Finished,
    Progress,
    Started,
    Trained,
)
from d2v_core.trial import run_trial
from sweeps.plan.durations import duration


def train_recipe(
    recipe: str,
    *,
    seed: int,
    assignments: tuple[str, ...],
    data_root: str | None,
    checkpoint: str | None,
    console: Console,
) -> None:
    """Train and evaluate, printing progress line by line.

    Raises:
        ConfigError: The configuration is wrong.
        DataError: The data is missing or broken.
        DivergedError: Training left the finite numbers.
    """
    trial = resolve_recipe(recipe, seed, assignments, data_root)
    if (num_workers := trial.execution.num_workers) > 1:
        rule = "d2v train is one process, d2v run starts several; must be 1, got"
        raise ConfigError([Problem("execution.num_workers", f"{rule} {num_workers}")])
    check_buildable(trial)
    file = Path(checkpoint) if checkpoint else None
    for event in run_trial(trial, checkpoint=file):
        match event:
            case Started():
                resumed = f", resumed at {event.step}" if event.step else ""
                console.print(
                    f"{event.num_parameters:,} parameters, "
                    f"{event.num_steps:,} updates{resumed}"
                )
            case Progress():
                shown = "  ".join(f"{k} {v:.4g}" for k, v in event.metrics.items())
                line = f"{event.step:>7}  {duration(event.seconds)}  {shown}"
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


def resolve_recipe(
    recipe: str, seed: int, assignments: tuple[str, ...], data_root: str | None
) -> TrialConfig:
    """The trial of a recipe with the options of the command line."""
    source = read_recipe(recipe)
    data = source.data if isinstance(source.data, dict) else {}
    if "modality" not in data:
        raise source.located([Problem("", "a recipe must name its modality")])
    modality = data["modality"]
    if modality not in TRIAL_TYPES:
        raise source.located([Problem("modality", one_of(TRIAL_TYPES, modality))])
    layer = Layer.from_yaml(source)
    layers = [
        layer,
        *data_root_layer(data_root),
        set_layer({**parse_assignments(assignments), "seed": seed}),
    ]
    return resolve(modality, layers)
