"""Files that are really broken: cut short, empty, no image, not readable."""

from __future__ import annotations

import re

import numpy as np
import pytest

from d2v_core.data.vision import decoded_images
from d2v_core.data.vision.folders import find_image_folders, load_image_folders
from d2v_core.data.vision.images import FileImages, decode_image
from d2v_core.data.vision.torchvision_sets import load_torchvision
from d2v_core.errors import DataError
from d2v_core.modalities.vision import MODALITY as VISION
from d2v_core.trial import run_trial
from tests.d2v_core.data.vision.test_torchvision_sets import config
from tests.d2v_core.data.vision.trees import STANDARD, write_image, write_tree
from tests.d2v_core.small import small_trial


def load(root, on_error="raise", size=6):
    return load_image_folders(
        find_image_folders(str(root), ""),
        size=size,
        channels=3,
        validation_fraction=0.25,
        on_error=on_error,
    )


def write_broken(path, kind):
    """One broken file of each kind a user meets."""
    if kind == "truncated":
        write_image(path, seed=5, size=(64, 64))
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not an image")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.parent / "gone")
    return path


REASONS = {
    "truncated": "truncated",
    "empty": "cannot identify image file",
    "text": "cannot identify image file",
    "folder": "Is a directory",
    "dangling link": "No such file or directory",
}


@pytest.fixture
def broken_tree(tmp_path):
    """Five broken files beside the standard ones, of every kind, in both splits."""
    root = write_tree(tmp_path / "images", STANDARD)
    places = ["train/cat/00", "train/cat/1x", "train/dog/0x", "train/dog/zz"]
    places = [root / f"{place}.jpg" for place in [*places, "test/dog/0x"]]
    for path, kind in zip(places, REASONS, strict=True):
        write_broken(path, kind)
    return root, places


def test_all_kinds_in_all_splits_are_named_in_one_error(broken_tree):
    root, places = broken_tree
    with pytest.raises(DataError) as caught:
        load(root)
    first, *lines = str(caught.value).splitlines()
    assert first == (
        "data: every image must decode, 5 of 20 do not; remove or replace them, or set "
        "data.on_error to skip:"
    )
    for path, reason in zip(places, REASONS.values(), strict=True):
        (line,) = [line for line in lines if line.startswith(f"  {path}: ")]
        assert reason in line
    assert len(lines) == 5


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_file_is_broken_in_every_format(tmp_path, suffix):
    root = write_tree(tmp_path, STANDARD)
    bad = write_broken(root / "train" / "dog" / f"cut.{suffix}", "truncated")
    with pytest.raises(DataError, match=re.escape(f"{bad}: ")) as caught:
        load(root)
    assert "truncated" in str(caught.value)


def test_ten_are_listed_and_the_others_counted(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    for i in range(13):
        write_broken(root / "train" / "cat" / f"bad{i:02}.jpg", "text")
    with pytest.raises(DataError) as caught:
        load(root)
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 3 more"


def pixels(split):
    images = split.images.read(np.arange(len(split))).numpy()
    return [image.tobytes() for image in images]


@pytest.mark.parametrize("cached", [True, False], ids=["small set", "large set"])
def test_skipped_files_leave_the_others_with_their_labels(
    broken_tree, monkeypatch, cached
):
    root, places = broken_tree
    if not cached:
        monkeypatch.setattr(decoded_images, "MAX_CACHED_BYTES", 0)
    for _ in range(2):  # the second time from what the first has kept
        dataset = load(root, "skip")
        expected = {
            decode_image(path, size=6, channels=3).tobytes(): path.parent.name
            for path in root.rglob("*.png")
        }
        seen = []
        for split in (dataset.train, dataset.valid, dataset.test):
            for image, label in zip(pixels(split), split.labels, strict=True):
                assert expected[image] == dataset.classes[label]
                seen.append(image)
        assert sorted(seen) == sorted(expected)
        (note,) = dataset.notes
        assert note.startswith(
            "5 of 20 files left out, they do not decode: train/cat/00.jpg ("
        )
        assert note.endswith(", and 2 more")


def test_what_is_left_is_the_set_without_the_broken_files(broken_tree):
    root, places = broken_tree
    skipped = load(root, "skip")
    for path in places:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    whole = load(root)
    assert whole.notes == ()
    for name in ("train", "valid", "test"):
        assert pixels(getattr(skipped, name)) == pixels(getattr(whole, name))
    assert (skipped.mean == whole.mean).all()
    assert skipped.digest != whole.digest


def test_skipping_changes_nothing_where_nothing_is_broken(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    plain, skipping = load(root), load(root, "skip")
    assert pixels(plain.train) == pixels(skipping.train)
    assert skipping.notes == ()


def test_what_was_skipped_is_still_refused_when_it_must_not_be(broken_tree):
    root, _ = broken_tree
    load(root, "skip")
    with pytest.raises(DataError, match="5 of 20 do not"):
        load(root)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_that_would_lose_all_its_images_is_an_error(tmp_path, split):
    root = write_tree(tmp_path, STANDARD)
    for path in (root / split / "cat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load(root, "skip")
    first, *lines = str(caught.value).splitlines()
    assert first == (
        f"data: every class must keep images, in {split} no file of 'cat' decodes; "
        "replace them:"
    )
    assert len(lines) == STANDARD[split]["cat"]


def test_imagenet_skips_too(tmp_path):
    counts = {"train": STANDARD["train"], "val": STANDARD["test"]}
    root = write_tree(tmp_path, counts)
    write_broken(root / "val" / "dog" / "cut.jpg", "truncated")
    options = {"size": 6, "channels": 3}
    with pytest.raises(DataError, match="1 of 16 do not"):
        load_torchvision(config(root, "imagenet"), **options)
    skipping = config(root, "imagenet", on_error="skip", validation_fraction=0.25)
    dataset = load_torchvision(skipping, **options)
    assert len(dataset.test) == 5
    assert dataset.notes[0].startswith("1 of 16 files left out")


def test_a_file_that_breaks_later_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    write_image(path, seed=1, size=(64, 64))
    reader = FileImages([path], size=6, channels=3, num_threads=1)
    reader.read(np.array([0]))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(
        DataError, match=rf"data: {path} no longer decodes: .*truncated"
    ):
        reader.read(np.array([0]))


def test_a_trial_says_in_its_result_what_was_left_out(tmp_path):
    root = write_tree(tmp_path, {"train": {"a": 9, "b": 9}, "test": {"a": 3, "b": 3}})
    write_broken(root / "train" / "a" / "cut.jpg", "truncated")
    data = {"source": "image_folder", "root": str(root)}
    few = {"training": {"num_steps": 1, "batch_size": 4}, "data": data}
    with pytest.raises(DataError, match="1 of 25 do not"):
        next(run_trial(small_trial(few)))
    trial = small_trial(few, {"data": data | {"on_error": "skip"}})
    *_, finished = run_trial(trial)
    assert finished.notes[0].startswith("1 of 25 files left out")
    assert VISION.data_digest(trial) == VISION.data_digest(small_trial(few))
