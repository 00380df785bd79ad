"""An arm that is like one of a shipped study begins with all that this one sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.library import load_study, read_study
from ablations.study.arms import Request, expand, expand_named
from tests.ablations.written import refused, refused_file

SECOND = "data2vec2/data2vec 2.0"
STUDY = f"""
name: mine
title: Mine
arms:
  - {{name: as it is, like: {SECOND}}}
  - {{name: one mask, like: {SECOND}, set: {{objective.num_masks: 1}}}}
metric: {{vision: linear_accuracy, speech: word_error_rate}}
"""


@pytest.mark.parametrize("scale", ["smoke", "laptop", "gpu", "paper"])
@pytest.mark.parametrize("modality", ["vision", "speech"])
def test_it_is_the_same_trial_and_what_stands_beside_it_comes_last(
    tmp_path: Path, modality: str, scale: str
) -> None:
    (tmp_path / "mine.yaml").write_text(STUDY)
    request = Request(modality, scale, seeds=(0,), data_root="/anywhere")
    own, one = expand_named(str(tmp_path / "mine.yaml"), request).cells
    cells = expand(load_study("data2vec2"), request).cells
    (theirs,) = [cell for cell in cells if cell.arm.label == "data2vec 2.0"]
    assert own.trial == theirs.trial
    assert one.trial.objective == theirs.trial.objective.model_copy(
        update={"num_masks": 1}
    )
    assert one.trial.mask == theirs.trial.mask


def test_a_whole_study_can_be_like_an_arm() -> None:
    """With what the arm's own study sets for all its arms."""
    study = load_study("multi_mask").for_modality("vision", "laptop")
    assert study.set["objective.kind"] == "data2vec2"
    assert study.set["training.batch_size"] == 32
    assert study.like == ""
    shared = load_study("collapse").for_modality("vision").set
    assert shared == {"teacher.tau.kind": "horizon"}


def test_settings_of_the_study_come_before_those_of_its_arm(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        STUDY.replace(SECOND, "tau_schedule/tau = 0").replace(
            "objective.num_masks: 1", "teacher.tau.horizon: 0.5"
        )
    )
    study = read_study(str(tmp_path / "mine.yaml")).study.for_modality("vision")
    assert [arm.set for arm in study.arms] == [
        {"teacher.tau.kind": "horizon", "teacher.tau.horizon": horizon}
        for horizon in (0.0, 0.5)
    ]


def test_what_is_like_another_itself_is_refused(tmp_path: Path) -> None:
    like = "efficiency/data2vec 2.0"
    lines = refused_file(tmp_path, STUDY.replace(SECOND, like))
    assert [line.partition(": ")[2] for line in lines] == [
        f"arms.{i}.like: {like} is like another arm itself; name that" for i in (0, 1)
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("data2vec2", "must be STUDY/ARM, got 'data2vec2'"),
        ("7", "must be STUDY/ARM, got 7"),
        ("{set: {}}", "must be STUDY/ARM, got {'set': {}}"),
        ("data2vec3/data2vec 2.0", "did you mean 'data2vec2'?"),
        ("data2vec2/data2vec 3.0", "did you mean 'data2vec 2.0'?"),
        ("inverse_block/block", "inverse_block has no such arm: "),
        ("layer_averaging/K=1", "layer_averaging has no such arm: "),
        ("loss/smooth L1 (4)", "loss/smooth L1 (4) does not exist for vision"),
    ],
)
def test_another_name_is_refused_with_its_place(
    tmp_path: Path, given: str, problem: str
) -> None:
    first, second = refused_file(tmp_path, STUDY.replace(SECOND, given))
    assert first.startswith("mine.yaml:5:")
    assert "arms.0.like: " in first
    assert problem in first
    assert second.startswith("mine.yaml:6:")


def test_a_wrong_name_and_another_mistake_are_told_together(tmp_path: Path) -> None:
    text = STUDY.replace(SECOND, "data2vec2").replace("num_masks", "num_mask")
    lines = refused_file(tmp_path, text)
    assert sum("arms.1.set.objective.num_mask" in line for line in lines) == 1
    assert sum(".like: " in line for line in lines) == 2


def test_a_name_needs_a_file_that_was_read() -> None:
    arms = [{"name": "a", "like": SECOND}, {"name": "b"}]
    assert refused(arms=arms) == [
        f"arms.0.like: must be an arm itself where no file is read, got {SECOND!r}"
    ]
