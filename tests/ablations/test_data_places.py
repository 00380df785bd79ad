"""``--set data.folder=`` is enough: the source follows what lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.data_places import whole_assignment
from ablations.layers import Layer, parse_assignments, resolve, set_layer
from ablations.library import read_recipe
from ablations.study.arms import data_root_layer
from d2v_core.config import TrialConfig
from d2v_core.config.speech_data import AudioFolderData, ManifestData
from d2v_core.config.text import LinesData, TextFolderData
from d2v_core.config.vision import DigitsData, FolderData, ImagesData
from d2v_core.errors import ConfigError


def resolved(
    recipe: str, *assignments: str, data_root: Path | None = None
) -> TrialConfig:
    modality = recipe.partition("-")[0]
    layers = [
        Layer.from_yaml(read_recipe(recipe)),
        *data_root_layer(str(data_root) if data_root else None),
        set_layer(parse_assignments(assignments, modality)),
    ]
    return resolve(modality, layers)


@pytest.mark.parametrize("recipe", ["vision-smoke", "vision-laptop", "vision-paper"])
def test_a_folder_of_photos_is_read_by_any_recipe(tmp_path: Path, recipe: str) -> None:
    trial = resolved(recipe, f"data.folder={tmp_path}")
    assert trial.data == ImagesData(folder=str(tmp_path))
    assert not trial.has_labels


def test_a_folder_with_splits_of_classes_keeps_its_labels(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    for recipe in ("vision-smoke", "vision-laptop"):
        trial = resolved(recipe, f"data.folder={tmp_path}")
        assert trial.data == FolderData(folder=str(tmp_path))


def test_a_folder_of_recordings_is_read_by_any_recipe(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("wav\n")  # a manifest alone has no labels
    for recipe in ("speech-smoke", "speech-laptop", "speech-paper"):
        trial = resolved(recipe, f"data.folder={tmp_path}")
        assert trial.data == AudioFolderData(folder=str(tmp_path))
    (tmp_path / "train.ltr").write_text("")
    trial = resolved("speech-smoke", f"data.folder={tmp_path}")
    assert trial.data == ManifestData(folder=str(tmp_path))


def test_a_folder_is_looked_for_below_the_root_then_where_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "a").mkdir(parents=True)
    (tmp_path / "here" / "b").mkdir()
    (tmp_path / "root" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    root = tmp_path / "root"
    below = resolved("vision-laptop", "data.folder=a", data_root=root)
    assert below.data == ImagesData(folder="a", root=str(root))
    typed = resolved("vision-laptop", "data.folder=b", data_root=root)
    assert typed.data == ImagesData(folder=str(tmp_path / "here/b"), root=str(root))
    nowhere = resolved("vision-laptop", "data.folder=c", data_root=root)
    assert nowhere.data == FolderData(folder="c", root=str(root))
    assert whole_assignment("data.folder=a", str(root)) == "data.folder=a"
    here = f"data.folder={tmp_path / 'here/a'}"
    assert whole_assignment("data.folder=a", None) == here
    assert whole_assignment("target.top_k=a", None) == "target.top_k=a"


def test_a_source_that_is_set_with_the_folder_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    both = ("data.source=images", f"data.folder={tmp_path}")
    assert resolved("vision-smoke", *both).data == ImagesData(folder=str(tmp_path))
    alone = resolved("vision-laptop", "data.source=images", data_root=tmp_path)
    assert alone.data == ImagesData(folder="cifar10", root=str(tmp_path))
    assert resolved("vision-laptop", "data.source=digits").data == DigitsData()


def test_a_setting_typed_for_another_source_is_a_mistake(tmp_path: Path) -> None:
    typed = (f"data.folder={tmp_path}", "data.validation_fraction=0.2")
    with pytest.raises(ConfigError, match="--set: data.validation_fraction"):
        resolved("vision-laptop", *typed)


def test_what_is_probed_may_lie_where_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    probed = "evaluation.data={source: image_folder, folder: pets}"
    for typed in (
        [probed],
        [f"evaluation.data.{x}" for x in ("source=image_folder", "folder=pets")],
    ):
        trial = resolved("vision-smoke", *typed)
        expected = FolderData(folder=str(tmp_path / "pets"))
        assert getattr(trial.evaluation, "data") == expected  # noqa: B009


def test_what_is_probed_reads_from_the_same_root(tmp_path: Path) -> None:
    probed = "evaluation.data={source: image_folder, folder: cifar10}"
    trial = resolved("vision-smoke", probed, data_root=tmp_path)
    assert trial.data == DigitsData()
    expected = FolderData(folder="cifar10", root=str(tmp_path))
    assert getattr(trial.evaluation, "data") == expected  # noqa: B009
    embedded = resolved("vision-laptop", "evaluation.data={source: digits}")
    assert getattr(embedded.evaluation, "data") == DigitsData()  # noqa: B009


def test_a_folder_of_texts_is_read_by_any_recipe(tmp_path: Path) -> None:
    for recipe in ("text-smoke", "text-laptop", "text-paper"):
        trial = resolved(recipe, f"data.folder={tmp_path}")
        assert trial.data == TextFolderData(folder=str(tmp_path))
    (tmp_path / "train.txt").write_text("")
    trial = resolved("text-smoke", f"data.folder={tmp_path}")
    assert trial.data == LinesData(folder=str(tmp_path))
