"""The ``d2v`` command; each verb calls one room, heavy imports inside the verb."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    name="d2v",
    help="Ablation experiments on data2vec: studies run by Ray Tune, tracked in "
    "MLflow, reported as tables with the paper's numbers beside ours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

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
DataRoot = Annotated[
    str | None,
    typer.Option(envvar="D2V_DATA", help="Folder of the real data."),
]
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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def studies(
    check: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Check a study file of yours against the recipes of --scale instead.",
        ),
    ] = None,
    scale: Scale = "smoke",
    as_json: AsJson = False,
) -> None:
    """List the shipped studies, or check a file without running anything."""
    from ablations.library import load_study, study_names

    if check is not None:
        _check_study(check, scale)
        return
    loaded = [load_study(name) for name in study_names()]
    if as_json:
        _print_json([study.model_dump(mode="json") for study in loaded])
        return
    table = Table("study", "title", "paper", "modalities", "seeds")
    for study in loaded:
        table.add_row(
            study.name,
            study.title,
            study.paper.places if study.paper else "–",
            ", ".join(study.metric),
            str(len(study.seed_list())),
        )
    Console().print(table)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a study file: completion and help in editors."""
    from ablations.json_schema import study_schema

    _print_json(study_schema())


@app.command()
def plan(
    study: Studies,
    scale: Scale = "smoke",
    modality: Modality = "vision",
    seeds: Seeds = None,
    set_: Set = None,
    data_root: DataRoot = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would train, what is cached, and how long it would take."""
    from sweeps.forecast import forecast, show_forecast
    from sweeps.planning import plan_study
    from sweeps.stores import check_stores, choose_stores

    request = _request(scale, modality, seeds, set_, data_root)
    plans = [plan_study(name, request, require_data=False) for name in study]
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores)
    result = forecast(plans, stores)
    if as_json:
        _print_json(result.as_dict())
    else:
        show_forecast(result, Console())


@app.command()
def run(
    study: Studies,
    scale: Scale = "smoke",
    modality: Modality = "vision",
    seeds: Seeds = None,
    set_: Set = None,
    data_root: DataRoot = None,
    tracking_uri: TrackingUri = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Train every trial the store lacks, then print the table and write the report.

    Trials that are already in the store are found by key and not trained again; a
    stopped run continues where it was.
    """
    from sweeps.planning import plan_study, seed_warning
    from sweeps.run import run_studies
    from sweeps.stores import check_address, check_stores, choose_stores

    console = Console()
    request = _request(scale, modality, seeds, set_, data_root)
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
        _report(planned.name, request, stores, console)
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


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe (vision-smoke) or a YAML file of yours.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    set_: Set = None,
    data_root: DataRoot = None,
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


@app.command()
def export(
    checkpoint: Annotated[
        str, typer.Argument(help="A file that d2v train --checkpoint has written.")
    ],
    recipe: Annotated[str, typer.Option(help="What it was trained with.")],
    to: Annotated[str, typer.Option(help="hf: Hugging Face transformers; timm.")],
    out: Annotated[str, typer.Option(help="Folder to write.")],
    network: Annotated[str, typer.Option(help="student or teacher.")] = "student",
    set_: Set = None,
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


@app.command()
def report(
    context: typer.Context,
    study: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY...]", help="Studies of the store, by name."),
    ] = None,
    scale: Scale = "smoke",
    modality: Modality = "vision",
    set_: Set = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every study of the store, and a scorecard of all claims; --scale "
            "and --modality, if given, choose among them.",
        ),
    ] = False,
    tracking_uri: TrackingUri = None,
    storage: Storage = None,
) -> None:
    """Rebuild the tables and the HTML page from the tracking store alone.

    Of several runs of a study that differ in --set, the last one is shown; give the
    same --set for another.
    """
    from d2v_core.errors import ConfigError, Problem
    from sweeps.stores import check_stores, choose_stores

    if everything == bool(study) or (everything and set_):
        rule = "give studies, with or without --set, or --all alone"
        raise ConfigError([Problem("d2v report", rule)])
    stores = choose_stores(storage, tracking_uri)
    check_stores(stores)
    if everything:
        asked = context.get_parameter_source
        _report_all(
            stores,
            Console(),
            modality if _is_given(asked("modality")) else None,
            scale if _is_given(asked("scale")) else None,
        )
        return
    request = _request(scale, modality, None, set_, None)
    for name in study or []:
        _report(_study_name(name), request, stores, Console(), last=not set_)


@app.command()
def ui(
    tracking_uri: TrackingUri = None,
    storage: Storage = None,
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)
    ] = 5000,
) -> None:
    """Serve the tracking store with MLflow's own UI on 127.0.0.1."""
    from sweeps.server import serve_ui
    from sweeps.stores import check_stores, choose_stores

    stores = choose_stores(storage, tracking_uri)
    check_stores(stores)
    serve_ui(stores, port, Console())


def _report(
    study: str, request: Any, stores: Any, console: Console, *, last: bool = False
) -> None:
    """Build, print and place the report of a request, or of the last one there is."""
    from reports.build import build_report
    from sweeps.planning import request_id

    wanted = request_id(study, request)
    parts = [study, request.modality, request.scale]
    if request.assignments:
        parts.append(wanted[:8])
    built = build_report(
        tracking_uri=stores.tracking_uri,
        study=study,
        modality=request.modality,
        scale=request.scale,
        folder=stores.storage / "reports" / "-".join(parts),
        request_id=None if last else wanted,
    )
    _show_report(built, console)


def _report_all(
    stores: Any, console: Console, modality: str | None, scale: str | None
) -> None:
    """Every report of the store, then the claims of all of them."""
    from reports.build import build_all
    from reports.scorecard import scorecard_console

    scorecard = build_all(
        tracking_uri=stores.tracking_uri,
        folder=stores.storage / "reports",
        modality=modality,
        scale=scale,
        on_report=lambda report: _show_report(report, console),
    )
    console.print(scorecard_console(scorecard.claims))
    page = scorecard.files["scorecard.html"]
    console.print(f"scorecard: {page}", soft_wrap=True, markup=False)


def _show_report(report: Any, console: Console) -> None:
    from reports.claims_view import claims_console
    from reports.console import console_view

    console.print(console_view(report.table))
    if report.verdicts:
        console.print(claims_console(report.verdicts))
    page = report.files["report.html"]
    console.print(f"report: {page}", soft_wrap=True, markup=False)


def _is_given(source: Any) -> bool:
    return source is not None and source.name != "DEFAULT"


def _request(
    scale: str,
    modality: str,
    seeds: str | None,
    assignments: list[str] | None,
    data_root: str | None,
) -> Any:
    from ablations.arms import Request

    return Request(
        modality=modality,
        scale=scale,
        assignments=tuple(assignments or ()),
        seeds=_parse_seeds(seeds) if seeds is not None else None,
        data_root=data_root,
    )


def _parse_seeds(text: str) -> tuple[int, ...]:
    """``"5"`` is seeds 0 to 4, ``"0,3"`` is these two, ``"7,"`` is seed 7 alone."""
    from d2v_core.errors import ConfigError, Problem

    parts = [part.strip() for part in text.split(",") if part.strip()]
    valid = bool(parts) and all(part.isdigit() for part in parts)
    seeds = tuple(map(int, parts)) if valid else ()
    if valid and "," not in text:
        seeds = tuple(range(seeds[0]))
    if not seeds or len(set(seeds)) < len(seeds):
        rule = "must be a count of at least 1 (5) or a list of different seeds (0,1,7)"
        raise ConfigError([Problem("--seeds", f"{rule}, got {text!r}")])
    return seeds


def _check_study(file: str, scale: str) -> None:
    from ablations.validation import check_study_file

    sizes = [
        f"{size.num_arms} arms x {size.num_seeds} seeds for {size.modality}"
        for size in check_study_file(file, scale)
    ]
    sys.stdout.write(f"valid: {', '.join(sizes)} (scale {scale})\n")


def _study_name(study: str) -> str:
    """The name in the store: of a YAML file, the one written inside."""
    from ablations.library import load_study

    return load_study(study).name if study.endswith((".yaml", ".yml")) else study


def _command_line() -> str:
    return shlex.join(["d2v", *sys.argv[1:]])


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=1) + "\n")


def main() -> None:
    """Entry point: users' mistakes are one clear message and exit code 2."""
    from d2v_core.errors import ConfigError, DataError, DivergedError
    from sweeps.writer import StoreWriteError

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        app()
    except (ConfigError, DataError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(2)
    except (DivergedError, StoreWriteError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, soft_wrap=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
