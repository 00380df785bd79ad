"""A study file is checked in all its modalities without running anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablations.library import STUDIES, load_study
from ablations.study.validation import Size, check_study_file
from d2v_core.errors import ConfigError

STUDY = """\
name: mine
title: Mine
arms:
  - {name: a, set: {target.top_k: 2}}
  - {name: b, set_for: {text: {text.dropout: 0.5}}}
  - {name: c, set: {vision.width: 32}, only: [vision]}
reference_arms: [untrained]
seeds: 3
metric: {vision: linear_accuracy, text: glue_score}
"""


def write(folder: Path, *changes: tuple[str, str]) -> str:
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / "mine.yaml"
    file.write_text(text)
    return str(file)


def refused(folder: Path, *changes: tuple[str, str], scale: str = "smoke") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_study_file(write(folder, *changes), scale)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def test_arms_and_seeds_are_counted_by_modality(tmp_path: Path) -> None:
    assert check_study_file(write(tmp_path), "smoke") == [
        Size("vision", num_arms=4, num_seeds=3),
        Size("text", num_arms=3, num_seeds=3),
    ]


def test_values_are_checked_with_the_recipe_and_placed_in_the_file(
    tmp_path: Path,
) -> None:
    lines = refused(
        tmp_path,
        ("top_k: 2", "top_k: 9"),
        ("dropout: 0.5", "dropout: 1.5"),
        ("vision.width: 32", "vision.width: 2"),
    )
    depth = "target.top_k: must be at most the encoder's depth (8), got 9"
    assert lines == [
        f"mine.yaml:4:21: study mine for vision: arm 'a': {depth}",
        "mine.yaml:6:21: study mine for vision: arm 'c': vision.width: must be greater "
        "than or equal to 4, got 2",
        f"mine.yaml:4:21: study mine for text: arm 'a': {depth.replace('(8)', '(4)')}",
        "mine.yaml:5:32: study mine for text: arm 'b': text.dropout: must be less than "
        "1, got 1.5",
    ]


def test_an_encoder_that_cannot_be_built_is_found(tmp_path: Path) -> None:
    [line] = refused(tmp_path, ("vision.width: 32", "vision.timm_model: vit_tony"))
    assert line.startswith(
        "mine.yaml:6:21: study mine for vision: arm 'c': vision.timm"
    )


def test_what_is_common_to_all_arms_is_placed_too(tmp_path: Path) -> None:
    assert refused(
        tmp_path, ("seeds: 3", "seeds: 3\nset_for: {text: {text.depth: 0}}")
    ) == [
        "mine.yaml:9:18: study mine for text: set_for.text: text.depth: must be "
        "greater than or equal to 1, got 0"
    ]


def test_values_of_an_axis_are_placed_at_the_axis(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntitle: Mine\naxes:\n"
        "  - {setting: target.top_k, label: K, values: [1, 9]}\n"
        "  - {setting: seed, label: s, values: {multiples_of_recipe: [1]}}\n"
        "metric: {vision: linear_accuracy}\n"
    )
    with pytest.raises(ConfigError) as caught:
        check_study_file(str(file), "smoke")
    assert "mine.yaml:5:6: axes.1.setting: must not be set" in str(caught.value)
    file.write_text(
        file.read_text().replace("setting: seed", "setting: target.feature")
    )
    with pytest.raises(ConfigError) as caught:
        check_study_file(str(file), "smoke")
    assert "mine.yaml:5:5: study mine: axis 's': multiples_of" in str(caught.value)
    file.write_text(file.read_text().replace("target.feature", "training.num_steps"))
    with pytest.raises(ConfigError) as caught:
        check_study_file(str(file), "smoke")
    assert str(caught.value).removeprefix(f"{tmp_path}/") == (
        "mine.yaml:4:39: study mine: arm 'K=9, s=1x': target.top_k: must be at most "
        "the encoder's depth (8), got 9"
    )


def test_the_name_of_a_shipped_study_is_taken(tmp_path: Path) -> None:
    """Its trials would lie in that study's experiment, under that study's tag."""
    taken = ("name: mine", "name: loss")
    rule = "must not be the name of a shipped study, got 'loss'; choose another name"
    line = f"mine.yaml:1:1: name: {rule}"
    assert refused(tmp_path, taken) == [line]
    with pytest.raises(ConfigError, match="choose another name"):
        load_study(write(tmp_path, taken))
    both = refused(tmp_path, taken, ("seeds: 3", "seeds: 0"))
    assert (both[0], len(both)) == (line, 2)


def test_a_shipped_study_may_be_named_by_its_file() -> None:
    file = STUDIES / "loss.yaml"
    assert load_study(str(file)) == load_study("loss")
    assert load_study(os.path.relpath(file)).name == "loss"


def test_a_scale_without_a_recipe_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, scale="lptop")[0].startswith("recipe: must be one of")
