"""``d2v data``: what a folder is understood as, and manifests of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from d2v_cli import options as o

if TYPE_CHECKING:
    from d2v_core.data.check.checked import Checked

MAX_NAMED = 10
"""Files left out of a manifest that are named."""

data = typer.Typer(
    help="Look at a folder of your own before anything is trained on it.",
    no_args_is_help=True,
)
Folder = Annotated[str, typer.Argument(help="Folder of images, audio or text.")]


@data.command()
def check(
    folder: Folder,
    modality: Annotated[
        str | None,
        typer.Option(help="vision, speech or text; default: that of most files."),
    ] = None,
    page: Annotated[
        str, typer.Option(help="Page with samples to write.")
    ] = "data-check.html",
    as_json: o.AsJson = False,
) -> None:
    """Tell what a folder is understood as, and show samples in a page.

    Every file is read once, so what does not decode is named here.
    """
    from d2v_core.data.check.folder import check_folder
    from reports.files import write_files
    from reports.page.data_page import SampleView, data_html

    place = Path(folder).expanduser().absolute()
    checked = check_folder(place, modality)
    command = _command(checked, place)
    views = [SampleView(s.name, s.about, s.picture, s.text) for s in checked.samples]
    html = data_html(
        *(str(place), _understood(checked), checked.facts, checked.warnings),
        *(views, command),
    )
    file = Path(page).expanduser()
    write_files({file.name: html}, file.parent)
    if as_json:
        facts = dict(checked.facts)
        about = {"modality": checked.modality, "source": checked.source}
        answer = {"labelled": checked.labelled, "facts": facts}
        o.print_json({**about, **answer, "warnings": list(checked.warnings)})
        return
    console = Console()

    def show(line: str, style: str | None = None) -> None:
        console.print(line, style=style, markup=False, soft_wrap=True, highlight=False)

    show(f"{place}: {_understood(checked)}")
    for name, value in checked.facts:
        show(f"  {name}: {value}")
    for warning in checked.warnings:
        show(f"look at this: {warning}", "yellow")
    show(f"samples: {file.absolute()}")
    show(f"to use it: {command}")
    show(f"a recipe of its sizes: d2v recipe new {shlex.quote(str(place))}")


def _understood(checked: Checked) -> str:
    labels = "with labels" if checked.labelled else "without labels"
    return f"{checked.modality}, {labels} (data.source: {checked.source})"


def _command(checked: Checked, place: Path) -> str:
    words = ["d2v", "run", "layer_averaging", "--scale", "smoke"]
    if checked.modality != "vision":
        words += ["--modality", checked.modality]
    return shlex.join([*words, "--set", f"data.folder={place}"])


@data.command()
def manifest(
    folder: Folder,
    out: Annotated[str, typer.Option(help="Folder of the manifests.")] = "manifests",
    valid: Annotated[
        float,
        typer.Option(min=0.0, max=0.5, help="Share of the files in valid.tsv."),
    ] = 0.1,
) -> None:
    """Write fairseq manifests of a folder of audio: train.tsv and valid.tsv."""
    from d2v_core.data.speech.manifest_writer import write_manifests

    console = Console()
    written = write_manifests(Path(folder).expanduser(), Path(out).expanduser(), valid)
    for path, reason in written.left_out[:MAX_NAMED]:
        line = f"left out: {path}: {reason}"
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    if (more := len(written.left_out) - MAX_NAMED) > 0:
        console.print(f"and {more:,} more", style="yellow")
    for file, count in written.files.items():
        line = f"{file.absolute()}: {count:,} files"
        console.print(line, markup=False, soft_wrap=True, highlight=False)
