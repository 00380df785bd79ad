import re

import numpy as np
import pytest

from d2v_core.config import VisionTrial
from d2v_core.config.vision import DigitsData, ImagesData
from d2v_core.data.splits import hold_out_named
from d2v_core.data.vision.unlabelled import find_images, load_unlabelled
from d2v_core.errors import ConfigError, DataError
from d2v_core.evaluation.rank import NO_LABELS
from d2v_core.modalities import modality_of
from d2v_core.training.events import Finished, Started
from d2v_core.trial import run_trial
from tests.d2v_core.data.vision.trees import write_image
from tests.d2v_core.small import small_trial


def photos(root, count=12):
    """Some flat, some two folders deep."""
    for i in range(count):
        folder = root / "2024" / "may" if i % 3 == 0 else root
        write_image(folder / f"{i}.png", i)
    return root


def load(root, size=8, **changes):
    data = ImagesData(folder=str(root), **changes)
    return load_unlabelled(find_images(data), data, size=size, channels=3)


def test_a_flat_and_nested_folder_is_read_whole_without_labels(tmp_path):
    (photos(tmp_path) / "notes.txt").write_text("no image")
    dataset = load(tmp_path)
    assert dataset.classes == ()
    assert (len(dataset.train), len(dataset.valid), len(dataset.test)) == (6, 6, 0)
    assert dataset.inventory.used == {"train": 6, "held out": 6}
    assert dataset.inventory.left_out == {"with unknown suffix .txt": 1}
    assert any("RankMe is at most" in note for note in dataset.notes)
    assert any("only 12 images: enough to try" in note for note in dataset.notes)


def test_an_image_stays_held_out_when_others_come():
    names = [f"{i}.jpg" for i in range(2_000)]
    kept, held = hold_out_named(names, 0.1)
    assert len(held) == 200
    assert sorted([*kept, *held]) == list(range(2_000))
    again = hold_out_named([*names, "new.jpg"], 0.1)[1]
    assert len(set(held) - set(again)) <= 1
    assert [len(hold_out_named(names[:n], 0.1)[1]) for n in (2, 10, 100)] == [1, 5, 32]


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_image_is_refused_in_a_sentence(tmp_path, count):
    photos(tmp_path, count)
    with pytest.raises(DataError, match=f"at least 2 images .* found {count}$"):
        load(tmp_path)


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    write_image(tmp_path / "a.png", 0)
    with pytest.raises(DataError, match="must be a folder, is a file"):
        load(tmp_path / "a.png")


def test_broken_images_are_named_or_left_out(tmp_path):
    (photos(tmp_path) / "bad.jpg").write_text("no image")
    with pytest.raises(DataError, match="1 of 13 do not; remove or replace them"):
        load(tmp_path)
    dataset = load(tmp_path, on_error="skip")
    assert len(dataset.train) + len(dataset.valid) == 12
    assert dataset.inventory.left_out == {"that do not decode": 1}


def trial_of(root, **changes):
    settings = small_trial().model_dump()
    settings["data"] = {"source": "images", "folder": str(root)}
    return VisionTrial.model_validate(settings | changes)


def test_a_trial_without_labels_gives_rankme_and_says_why(tmp_path):
    trial = trial_of(photos(tmp_path))
    assert not trial.has_labels
    finished = list(run_trial(trial))[-1]
    assert isinstance(finished, Finished)
    scores = [name for name in finished.metrics if name.startswith("eval/")]
    assert scores == ["eval/rankme"]
    assert NO_LABELS in finished.notes


def test_another_set_is_probed_and_trains_nothing_else(tmp_path):
    plain = trial_of(photos(tmp_path))
    evaluation = plain.evaluation.model_dump() | {"data": {"source": "digits"}}
    probed = trial_of(tmp_path, evaluation=evaluation)
    assert probed.has_labels
    assert probed.evaluation.data == DigitsData()
    modality = modality_of(probed)
    assert modality.training_digest(probed) == modality.data_digest(plain)
    assert modality.data_digest(probed) != modality.data_digest(plain)
    assert modality.same_data(probed) != modality.same_data(plain)
    events = list(run_trial(probed))
    (started,) = [event for event in events if isinstance(event, Started)]
    assert re.search(r"held out 6\); probed on .*digits.*train [\d,]+", started.data)
    scores = events[-1].metrics
    assert {"eval/rankme", "eval/linear_accuracy", "eval/knn_accuracy"} <= set(scores)
    without = list(run_trial(plain))[-1].metrics
    assert scores["eval/rankme"] == without["eval/rankme"]
    np.testing.assert_allclose(
        modality.load_data(probed).probed.mean, modality.load_data(plain).mean
    )


def test_the_supervised_objective_needs_labels(tmp_path):
    settings = {"objective": {"kind": "supervised"}}
    with pytest.raises(Exception, match="rules across sections") as caught:
        trial_of(photos(tmp_path), **settings)
    assert not isinstance(caught.value, ConfigError)
