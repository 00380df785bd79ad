import re
import shutil

import numpy as np
import pytest
import torch

from d2v_core.data.vision import decoded_images
from d2v_core.data.vision import images as images_module
from d2v_core.data.vision.folders import find_image_folders, load_image_folders
from d2v_core.data.vision.images import decode_image
from d2v_core.errors import DataError
from tests.d2v_core.data.vision.trees import STANDARD, write_image, write_tree


def load(root, folder="", size=6, channels=3, fraction=0.25):
    return load_image_folders(
        find_image_folders(str(root), folder),
        size=size,
        channels=channels,
        validation_fraction=fraction,
    )


def test_validation_is_held_out_of_train_class_by_class(tmp_path):
    dataset = load(write_tree(tmp_path, STANDARD))
    assert dataset.classes == ("cat", "dog")
    # A quarter of 6 rounds to 2 (to even), of 4 to 1.
    assert np.bincount(dataset.valid.labels).tolist() == [2, 1]
    assert np.bincount(dataset.train.labels).tolist() == [4, 3]
    assert np.bincount(dataset.test.labels).tolist() == [2, 3]


def all_images(split):
    return split.images.read(np.arange(len(split)))


def test_every_image_is_the_decoded_file_with_its_folders_label(tmp_path):
    dataset = load(write_tree(tmp_path, STANDARD))
    expected = {
        decode_image(path, size=6, channels=3).tobytes(): path.parent.name
        for path in tmp_path.rglob("*.png")
    }
    seen = []
    for split in (dataset.train, dataset.valid, dataset.test):
        for image, label in zip(all_images(split), split.labels, strict=True):
            assert expected[image.numpy().tobytes()] == dataset.classes[label]
            seen.append(image.numpy().tobytes())
    assert len(set(seen)) == len(seen) == 15


@pytest.mark.parametrize("name", ["valid", "val"])
def test_a_validation_folder_is_used_as_it_is(tmp_path, name):
    dataset = load(write_tree(tmp_path, STANDARD | {name: {"cat": 1, "dog": 2}}))
    assert np.bincount(dataset.train.labels).tolist() == [6, 4]
    assert np.bincount(dataset.valid.labels).tolist() == [1, 2]


def test_pixel_statistics_are_the_training_images(tmp_path):
    dataset = load(write_tree(tmp_path, STANDARD | {"val": {"cat": 2}}))
    pixels = all_images(dataset.train).double().numpy() / 255.0
    np.testing.assert_allclose(dataset.mean, pixels.mean(axis=(0, 2, 3)))
    expected = pixels.std(axis=(0, 2, 3))
    np.testing.assert_allclose(dataset.std, expected, rtol=0.01)


def test_the_folder_below_the_root_is_found_and_can_be_the_root_itself(tmp_path):
    write_tree(tmp_path / "pets", STANDARD)
    assert load(tmp_path, "pets").digest == load(tmp_path / "pets", "pets").digest


def test_other_files_are_ignored_and_suffixes_have_any_case(tmp_path):
    write_tree(tmp_path, STANDARD)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "cat" / ".DS_Store").write_text("")
    write_image(tmp_path / "train" / "cat" / "LOUD.PNG", seed=99)
    listing = find_image_folders(str(tmp_path), "").splits["train"]
    assert len(listing.paths) == 11


def test_a_second_load_decodes_nothing(tmp_path, monkeypatch):
    root = write_tree(tmp_path, STANDARD)
    first = load(root)

    def refuse(*args, **kwargs):
        raise AssertionError("decoded again")

    monkeypatch.setattr(images_module, "decode_image", refuse)
    monkeypatch.setattr(decoded_images, "decode_each", refuse)
    second = load(root)
    for name in ("train", "valid", "test"):
        ours, theirs = getattr(second, name), getattr(first, name)
        assert torch.equal(all_images(ours), all_images(theirs))
        assert (ours.labels == theirs.labels).all()


def test_another_size_or_other_channels_are_not_taken_from_the_cache(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    assert all_images(load(root).test).shape == (5, 3, 6, 6)
    assert all_images(load(root, size=4).test).shape == (5, 3, 4, 4)
    assert all_images(load(root, channels=1).test).shape == (5, 1, 6, 6)


def test_sets_too_large_for_the_cache_are_decoded_when_read(
    tmp_path, monkeypatch, own_cache
):
    root = write_tree(tmp_path, STANDARD)
    small = load(root)
    monkeypatch.setattr(decoded_images, "MAX_CACHED_BYTES", 0)
    large = load(root)
    assert torch.equal(all_images(large.train), all_images(small.train))
    boxes = [(0.0, 0.0, 0.5, 0.5)] * 2
    assert large.train.images.read(np.array([0, 1]), boxes).shape == (2, 3, 6, 6)
    assert list((own_cache / "images").glob("*.index.json"))


def test_the_digest_changes_with_content_and_not_with_time_or_place(tmp_path):
    root = write_tree(tmp_path / "a", STANDARD)
    first = find_image_folders(str(root), "").digest()
    assert re.fullmatch("[0-9a-f]{16}", first)

    copy = tmp_path / "b"
    shutil.copytree(root, copy)
    for path in copy.rglob("*.png"):
        path.touch()
    assert find_image_folders(str(copy), "").digest() == first

    write_image(copy / "train" / "cat" / "0.png", seed=1234)
    assert find_image_folders(str(copy), "").digest() != first

    renamed = tmp_path / "c"
    shutil.copytree(root, renamed)
    (renamed / "test" / "cat" / "0.png").rename(renamed / "test" / "cat" / "x.png")
    assert find_image_folders(str(renamed), "").digest() != first


def test_a_changed_file_is_decoded_again(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    before = all_images(load(root).test)
    write_image(root / "test" / "cat" / "0.png", seed=1234)
    assert not torch.equal(all_images(load(root).test), before)


def test_a_repaired_folder_loads(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    bad = root / "train" / "cat" / "bad.jpg"
    bad.write_text("x")
    with pytest.raises(DataError):
        load(root)
    bad.unlink()
    assert len(load(root).train) == 7


def test_no_data_root_says_how_to_give_one():
    with pytest.raises(DataError, match="pass --data-root FOLDER or set D2V_DATA"):
        find_image_folders(None, "")


def test_a_root_that_does_not_exist_is_named(tmp_path):
    wrong = str(tmp_path / "nowhere")
    with pytest.raises(DataError, match=re.escape(f"existing folder, got {wrong!r}")):
        find_image_folders(wrong, "")


def test_missing_splits_are_named(tmp_path):
    write_tree(tmp_path, {"train": {"cat": 1}})
    with pytest.raises(DataError, match=r"must hold the folders .* missing: test$"):
        find_image_folders(str(tmp_path), "")


def test_a_class_that_train_does_not_have_is_refused(tmp_path):
    write_tree(tmp_path, STANDARD | {"val": {"cat": 1, "fox": 1}})
    with pytest.raises(DataError, match="must also stand in train, unknown: fox"):
        find_image_folders(str(tmp_path), "")


def test_a_split_without_images_is_refused(tmp_path):
    write_tree(tmp_path, {"train": {"cat": 2}})
    (tmp_path / "test" / "cat").mkdir(parents=True)
    with pytest.raises(
        DataError, match="must hold images in class folders, found none"
    ):
        find_image_folders(str(tmp_path), "")


def test_a_class_too_small_to_hold_out_from_is_a_data_error(tmp_path):
    root = write_tree(tmp_path, {"train": {"cat": 3, "dog": 1}, "test": {"cat": 1}})
    with pytest.raises(DataError, match="at least 2 samples to hold some out"):
        load(root)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX"])
def test_folders_of_tools_are_no_classes_and_are_counted(tmp_path, name):
    root = write_tree(tmp_path, STANDARD)
    before = find_image_folders(str(root), "")
    for split in ("train", "test"):
        shutil.copytree(root / split / "cat", root / split / name)
        (root / split / "cat" / "._0.png").write_bytes(b"Mac OS X")
    after = load(root)
    assert after.classes == before.classes == ("cat", "dog")
    assert after.digest == before.digest()
    assert after.inventory.left_out == {
        f"in {name}": 8,
        "hidden or left by tools": 2,
    }
    assert sum(after.inventory.used.values()) == 15


def test_a_class_without_readable_images_is_refused_with_what_lies_there(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    for path in sorted((root / "train" / "dog").iterdir()):
        path.rename(path.with_suffix(".jfif"))
    with pytest.raises(DataError, match=r"'dog' \(4 with unknown suffix .jfif\)"):
        find_image_folders(str(root), "")


def test_files_that_are_left_out_are_counted_by_reason(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    folder = root / "train" / "cat"
    (folder / "0.png").rename(folder / "0.avif")
    (folder / "1.png").rename(folder / "noname")
    (folder / "deeper" / "still").mkdir(parents=True)
    (folder / "2.png").rename(folder / "deeper" / "still" / "2.png")
    (root / "test" / "list.csv").write_text("")
    inventory = load(root).inventory
    assert inventory.left_out == {
        "with unknown suffix .avif": 1,
        "with no suffix": 1,
        "in folders below classes": 1,
        "outside of class folders": 1,
    }
    assert inventory.used == {"train": 7, "test": 5}


def test_one_class_is_nothing_to_tell_apart(tmp_path):
    root = write_tree(tmp_path, {"train": {"cat": 4}, "test": {"cat": 2}})
    with pytest.raises(DataError, match="at least 2 class folders, holds only 'cat'"):
        find_image_folders(str(root), "")


def test_classes_that_look_like_mistakes_are_named(tmp_path):
    counts = {"train": {"cat": 4, "Cat": 4, "dog": 4}, "test": {"cat": 2, "dog": 2}}
    assert load(write_tree(tmp_path, counts)).inventory.suspicious == (
        "classes 'Cat' and 'cat' differ only in case or signs",
        "test holds none of class 'Cat'",
    )
