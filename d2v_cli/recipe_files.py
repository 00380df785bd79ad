"""``d2v recipe new``: a commented recipe, sized for a folder of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from d2v_core.data.check.checked import Checked

recipe = typer.Typer(
    help="Recipes of your own: the base of any study, with --recipe.",
    no_args_is_help=True,
)


@recipe.command()
def new(
    folder: Annotated[str, typer.Argument(help="Folder of images, audio or text.")],
    out: Annotated[str, typer.Option(help="File to write.")] = "recipe.yaml",
    modality: Annotated[
        str | None,
        typer.Option(help="vision, speech or text; default: that of most files."),
    ] = None,
    sized_for: Annotated[
        str,
        typer.Option(help="laptop: minutes on a core; gpu: hours on one GPU."),
    ] = "laptop",
) -> None:
    """Write a commented recipe whose sizes and lengths fit the data in a folder.

    Image size, tokens, updates, batch size and vocabulary follow from what lies there;
    warm-up and the teacher's horizon are shares of the run.
    """
    from d2v_core.build import check_buildable
    from d2v_core.config import parse_trial
    from d2v_core.config.parsing import one_of
    from d2v_core.data.check.folder import check_folder
    from d2v_core.errors import ConfigError, Problem
    from d2v_core.sizing import settings_for, sizes

    place, file = Path(folder).expanduser().absolute(), Path(out).expanduser()
    if file.exists():
        message = "must be a new file, or remove the old one, got"
        raise ConfigError([Problem("--out", f"{message} {file}")])
    if sized_for not in sizes():
        raise ConfigError([Problem("--sized-for", one_of(sizes(), sized_for))])
    checked = check_folder(place, modality)
    settings = settings_for(checked.sizes, sized_for)
    settings |= {"data": {"source": checked.source, "folder": str(place)}}
    if checked.modality == "text":
        settings["evaluation"] = {"tasks": []}
    check_buildable(parse_trial(settings))
    file.write_text(_commented(settings, checked, file), encoding="utf-8")
    name = shlex.quote(str(file))
    console = Console()

    def show(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True, highlight=False)

    show(f"written: {file.absolute()}")
    show(f"to try it: d2v train {name}")
    show(f"to plan a study on it: d2v plan layer_averaging --recipe {name}")


COMMENTS = {
    "training": "{passes:.0f} passes over {count:,} samples",
    "teacher": "the EMA teacher remembers this share of the run",
    "target": "data2vec predicts the average of the teacher's top_k blocks",
    "optimizer": "warm-up is a share of the run too",
    "health": "a run counts as collapsed only after this share of it",
    "vision": "{patches} x {patches} patches; images are cut to squares and resized",
    "speech": "a frame is 20 ms",
    "text": "a byte-level vocabulary is trained on the corpus",
    "mask": "what the student does not see",
    "waveform": "longer recordings are cropped at random, shorter ones left out",
    "data": "the folder as it lies there; --set data.folder=ANOTHER replaces it",
    "evaluation": "no labelled tasks: RankMe is the score",
    "execution": "place and speed: no part of what a result is",
}
"""Said above the sections."""


def _commented(settings: Mapping[str, Any], checked: Checked, file: Path) -> str:
    """The recipe as YAML, each section with a word on it."""
    from ablations.search.path import yaml_text

    training, vision = settings["training"], settings.get("vision", {})
    seen = training["num_steps"] * training["batch_size"]
    words = {
        "passes": seen / checked.sizes.count,
        "count": checked.sizes.count,
        "patches": vision.get("image_size", 0) // vision.get("patch_size", 1),
    }
    order = ["modality", "data", checked.modality, "mask", "target", "teacher"]
    order += [name for name in settings if name not in order]
    about = "; ".join(f"{name}: {value}" for name, value in checked.facts[:2])
    lines = [f"# d2v run layer_averaging --recipe {shlex.quote(file.name)}", "#"]
    lines += [
        f"# Made by d2v recipe new for {about}.",
        f"# Every setting, explained: d2v_core/config/{checked.modality}.py.",
    ]
    for name in order:
        body = yaml_text({name: settings[name]}, "").partition("\n")[2].rstrip()
        if name in COMMENTS:
            lines += ["", f"# {COMMENTS[name].format(**words)}"]
        lines.append(body)
    return "\n".join(lines) + "\n"
