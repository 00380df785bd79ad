"""``d2v studies``: the shipped ones, or the check of a file of the user's."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from d2v_cli import options as o


def studies(
    check: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Check a study file of yours against the recipes of --scale instead.",
        ),
    ] = None,
    scale: o.Scale = "smoke",
    as_json: o.AsJson = False,
) -> None:
    """List the shipped studies, or check a file without running anything."""
    from ablations.library import load_study, study_names

    if check is not None:
        _check_study(check, scale)
        return
    loaded = [load_study(name) for name in study_names()]
    if as_json:
        o.print_json([study.model_dump(mode="json") for study in loaded])
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


def _check_study(file: str, scale: str) -> None:
    from ablations.study.validation import check_study_file

    sizes = [
        f"{size.num_arms} arms x {size.num_seeds} seeds for {size.modality}"
        for size in check_study_file(file, scale)
    ]
    sys.stdout.write(f"valid: {', '.join(sizes)} (scale {scale})\n")
