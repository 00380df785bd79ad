"""Options that several verbs share, and what they make together."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from sweeps.driver.trainings import Keep

Studies = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY...", help="Shipped study names, or YAML files of yours."
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        help="smoke: seconds per trial; laptop: minutes on one core; gpu: about a "
        "minute on one GPU; paper: as published."
    ),
]
Modality = Annotated[
    str, typer.Option(help="What the encoder sees: vision, speech or text.")
]
Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A recipe of yours instead of the shipped one of --modality and --scale.",
    ),
]
GpuShare = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Of a GPU, reserved for each trial: 0.25 lets four run on one.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(help="How many seeds (5) or which (0,1,7); default: the study's."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a setting: target.top_k=4."
    ),
]
Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="NAME",
        help="Only this row of the table, here and now: K=8, untrained (give it again "
        "for more); the others keep what they have.",
    ),
]


def _absolute_data_root(context: typer.Context, value: str | None) -> str | None:
    """Make the folder absolute: workers stand in another folder than the command."""
    if value is None:
        return None
    source = context.get_parameter_source("data_root")
    context.meta[TYPED_DATA_ROOT] = source is not None and source.name == "COMMANDLINE"
    return os.path.abspath(os.path.expanduser(value))


DataRoot = Annotated[
    str | None,
    typer.Option(
        envvar="D2V_DATA",
        help="Folder of the real data.",
        callback=_absolute_data_root,
    ),
]
MAX_NAME = 40
"""Characters of a recipe's name that names of folders and studies show."""
TYPED_DATA_ROOT = "typed_data_root"
"""In the context of a command: whether ``--data-root`` was typed."""
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow store; default: SQLite in the storage folder.",
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Folder of checkpoints, reports and the store; default: d2v-runs here."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(envvar="RAY_ADDRESS", help="Ray cluster; default: this machine."),
]
Bars = Annotated[
    bool, typer.Option("--bars", help="A progress bar for each running trial.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def make_request(
    context: typer.Context,
    scale: str,
    modality: str,
    seeds: str | None = None,
    assignments: list[str] | None = None,
    data_root: str | None = None,
    recipe: str | None = None,
) -> Any:
    """What a study is expanded for; see :class:`ablations.study.arms.Request`.

    Raises:
        ConfigError: The seeds or the recipe are none.
    """
    from ablations.data_places import whole_assignment
    from ablations.study.arms import Request

    file = ""
    if recipe is not None:
        modality, scale, file = _of_recipe(context, recipe, modality)
    return Request(
        modality=modality,
        scale=scale,
        assignments=tuple(whole_assignment(a, data_root) for a in assignments or ()),
        seeds=parse_seeds(seeds) if seeds is not None else None,
        data_root=data_root,
        recipe=file,
    )


def _of_recipe(
    context: typer.Context, recipe: str, modality: str
) -> tuple[str, str, str]:
    """Modality, name and file of a recipe; of a shipped one, its scale and no file."""
    from ablations.library import read_recipe, recipe_names
    from d2v_core.config import TRIAL_TYPES
    from d2v_core.config.parsing import one_of
    from d2v_core.errors import ConfigError, Problem

    if is_typed(context, "scale"):
        message = "must stand without --scale: the recipe says how large everything is"
        raise ConfigError([Problem("--recipe", message)])
    source = read_recipe(recipe)
    data = source.data if isinstance(source.data, dict) else {}
    own = data.get("modality")
    if own not in TRIAL_TYPES:
        raise source.located([Problem("modality", one_of(TRIAL_TYPES, own))])
    if is_typed(context, "modality") and modality != own:
        message = (
            f"must be for the modality that is asked for, {modality}, is for {own}"
        )
        raise ConfigError([Problem("--recipe", message)])
    if recipe in recipe_names():
        return own, recipe.removeprefix(f"{own}-"), ""
    scales = {name.rpartition("-")[2] for name in recipe_names()}
    file = Path(os.path.abspath(source.file))
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", file.stem)[:MAX_NAME].strip("-.") or "own"
    return own, f"my-{name}" if name in scales else name, str(file)


def gpu_assignment(share: float | None) -> list[str]:
    """``--gpu-share`` as a setting; its bounds are checked with it."""
    return [] if share is None else [f"execution.num_gpus={share:g}"]


def parse_seeds(text: str) -> tuple[int, ...]:
    """``"5"`` is seeds 0 to 4, ``"0,3"`` is these two, ``"7,"`` is seed 7 alone."""
    from ablations.study.checks import MAX_SEEDS
    from d2v_core.errors import ConfigError, Problem, shown

    parts = [part.strip() for part in text.split(",") if part.strip()]
    # isdigit() is true of "²", of which int() makes no number
    valid = bool(parts) and all(re.fullmatch(r"[0-9]{1,10}", part) for part in parts)
    seeds = tuple(map(int, parts)) if valid else ()
    if valid and (len(seeds) > MAX_SEEDS or ("," not in text and seeds[0] > MAX_SEEDS)):
        message = f"must be at most {MAX_SEEDS:,} seeds"
        raise ConfigError([Problem("--seeds", f"{message}, got {shown(text)}")])
    if valid and "," not in text:
        seeds = tuple(range(seeds[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        requirement = (
            "must be a count of at least 1 (5) or a list of different seeds (0,1,7)"
        )
        raise ConfigError([Problem("--seeds", f"{requirement}, got {shown(text)}")])
    return seeds


def chosen_arms(names: list[str] | None, studies: Sequence[Any]) -> frozenset[str]:
    """The arms that ``--arm`` names; empty: all.

    Raises:
        ConfigError: No study has an arm of that name.
    """
    from d2v_core.config.parsing import one_of
    from d2v_core.errors import ConfigError, Problem

    known = dict.fromkeys(arm.label for each in studies for arm in each.arms)
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ConfigError([Problem("--arm", one_of(known, name)) for name in unknown])
    return frozenset(names or ())


def parse_keep(text: str) -> Keep:
    """Which encoders stay: ``all`` or ``none``."""
    from d2v_core.config.parsing import one_of
    from d2v_core.errors import ConfigError, Problem
    from sweeps.driver.trainings import KEPT

    for known in KEPT:
        if text == known:
            return known
    raise ConfigError([Problem("--keep-encoders", one_of(list(KEPT), text))])


def probe_assignment(shares: str | None) -> list[str]:
    """``"0.25,0.5"`` as a setting; the trials' own bounds are checked with it."""
    if shares is None:
        return []
    from d2v_core.errors import ConfigError, Problem, shown

    parts = [part.strip() for part in shares.split(",") if part.strip()]
    if not parts or not all(re.fullmatch(r"0?\.[0-9]{1,6}", part) for part in parts):
        requirement = "must be shares of the training between 0 and 1, 0.25,0.5,0.75"
        raise ConfigError(
            [Problem("--probe-at", f"{requirement}, got {shown(shares)}")]
        )
    return [f"execution.probe_at=[{', '.join(parts)}]"]


def chosen(
    context: typer.Context, modality: str, scale: str
) -> tuple[str | None, str | None]:
    """Modality and scale; None where the option was not given."""

    def given(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name != "DEFAULT"

    return (
        modality if given("modality") else None,
        scale if given("scale") else None,
    )


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option stands in the command; the environment is not asked."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def study_name(study: str) -> str:
    """The name in the store: of a YAML file, the one written inside."""
    from ablations.library import load_study

    return load_study(study).name if study.endswith((".yaml", ".yml")) else study


def check_data_root(
    context: typer.Context, trials: Sequence[Any], console: Console
) -> None:
    """Refuse trials whose data is nowhere, before Ray starts.

    Raises:
        DataError: A trial reads from disk, and no folder was given or it is not there.
    """
    note_unused_data_root(context, trials, console)
    roots = {
        each.root
        for trial in trials
        for each in _data_of(trial)
        if hasattr(each, "root") and not os.path.isabs(getattr(each, "folder", ""))
    }
    if roots:
        from d2v_core.data.vision.folders import data_root

        for root in roots:
            data_root(root)


def _data_of(trial: Any) -> list[Any]:
    """What a trial is trained on, and probed on if that is something else."""
    probed = getattr(trial.evaluation, "data", None)
    return [trial.data] if probed is None else [trial.data, probed]


def note_unused_data_root(
    context: typer.Context, trials: Iterable[Any], console: Console
) -> None:
    """Say so where ``--data-root`` was typed and all data is embedded."""
    data = [each for trial in trials for each in _data_of(trial)]
    if context.meta.get(TYPED_DATA_ROOT) and not any(hasattr(d, "root") for d in data):
        sources = ", ".join(sorted({each.source for each in data}))
        note = f"note: --data-root is not used: {sources} is embedded data"
        console.print(note, style="yellow", markup=False, soft_wrap=True)


def note_unused_gpu(trials: Iterable[Any], console: Console) -> None:
    """Say so where this machine has a GPU and no trial reserves any of it."""
    from sweeps.plan.resources import this_machine

    num_gpus = int(this_machine().num_gpus)
    execution = [trial.execution for trial in trials]
    if not num_gpus or any(e.num_gpus or e.device == "cpu" for e in execution):
        return
    has = "a GPU" if num_gpus == 1 else f"{num_gpus} GPUs"
    note = (
        f"note: this machine has {has} and the trials reserve none, so they run on the "
        "CPU; --gpu-share 0.25 lets four run on one"
    )
    console.print(note, style="yellow", markup=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Print plain data as JSON."""
    sys.stdout.write(json.dumps(data, indent=1) + "\n")
