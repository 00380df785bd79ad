"""A recipe made for a folder is read back, built, and is the base of a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner

from d2v_cli.app import app
from d2v_cli.recipe import resolve_recipe
from d2v_core.errors import ConfigError, DataError


def d2v(*words: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "D2V_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def images(folder: Path, count: int = 12, size: tuple[int, int] = (40, 30)) -> Path:
    folder.mkdir()
    for i in range(count):
        shade = (20 * i, 255 - 20 * i, 7 * i)
        Image.new("RGB", size, shade).save(folder / f"{i}.png")
    return folder


def audio(folder: Path) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(12):
        wave = generator.normal(0, 0.1, 24_000)
        soundfile.write(folder / f"{i}.wav", wave, 16_000)
    return folder


def text(folder: Path) -> Path:
    folder.mkdir()
    for i in range(5):
        lines = [f"line {j} of file {i} says little" for j in range(40)]
        (folder / f"{i}.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(
    ("make", "modality", "sizes"),
    [
        (images, "vision", {"image_size": 24, "patch_size": 3, "channels": 3}),
        (audio, "speech", {"width": 64, "depth": 8}),
        (text, "text", {"max_tokens": 64, "vocab_size": 600}),
    ],
)
def test_sizes_follow_the_data(here, make, modality, sizes):
    folder = make(here / "mine")
    shown = d2v("recipe", "new", "mine", "--out", "mine.yaml")
    assert "d2v plan layer_averaging --recipe mine.yaml" in shown
    trial = resolve_recipe("mine.yaml", seed=3, assignments=(), data_root=None)
    section = getattr(trial, modality).model_dump()
    assert {name: section[name] for name in sizes} == sizes
    assert trial.data.folder == str(folder)
    text_of_it = (here / "mine.yaml").read_text()
    assert text_of_it.count("\n# ") > 6
    assert "{" not in text_of_it  # every comment is filled in


def test_a_study_is_planned_on_it(here):
    images(here / "mine")
    d2v("recipe", "new", "mine")
    planned = json.loads(
        d2v("plan", "layer_averaging", "--recipe", "recipe.yaml", "--json")
    )
    assert "layer_averaging" in json.dumps(planned)


def test_what_there_is_is_not_overwritten(here):
    images(here / "mine")
    (here / "recipe.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="--out: must be a new file"):
        d2v("recipe", "new", "mine")
    assert (here / "recipe.yaml").read_text() == "mine"


def test_wrong_words_and_folders_are_told(here):
    images(here / "mine")
    with pytest.raises(ConfigError, match="--sized-for: must be one of gpu, laptop"):
        d2v("recipe", "new", "mine", "--sized-for", "phone")
    (here / "empty").mkdir()
    with pytest.raises(DataError, match="must hold images, audio or text"):
        d2v("recipe", "new", "empty")
