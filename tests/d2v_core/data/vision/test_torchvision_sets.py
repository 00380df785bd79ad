import hashlib
import os
import pickle
import re

import numpy as np
import pytest
import torch
from torchvision import datasets

from d2v_core.config.vision import FolderData, TorchvisionData
from d2v_core.data.vision.folders import find_image_folders, load_image_folders
from d2v_core.data.vision.torchvision_sets import load_torchvision, torchvision_digest
from d2v_core.errors import DataError
from d2v_core.modalities.vision import MODALITY as VISION
from tests.d2v_core.data.vision.trees import STANDARD, write_tree
from tests.d2v_core.small import small_trial

BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


def write_cifar10(root):
    """CIFAR-10's files with ten images each; returns each file's checksum."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    contents = {
        name: {
            "data": np.random.default_rng(i).integers(0, 256, (10, 3072), np.uint8),
            "labels": list(range(10)),
        }
        for i, name in enumerate(BATCHES)
    }
    contents["batches.meta"] = {"label_names": [f"class {i}" for i in range(10)]}
    checksums = {}
    for name, content in contents.items():
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        checksums[name] = hashlib.md5(data).hexdigest()  # noqa: S324
    return checksums


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    checksums = write_cifar10(tmp_path)
    train = [[name, checksums[name]] for name in BATCHES[:5]]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", train)
    test = [["test_batch", checksums["test_batch"]]]
    monkeypatch.setattr(datasets.CIFAR10, "test_list", test)
    meta = dict(datasets.CIFAR10.meta, md5=checksums["batches.meta"])
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return tmp_path


def config(root, source="cifar10", **changes):
    return TorchvisionData(source=source, root=str(root), **changes)


def test_cifar_files_with_other_checksums_are_refused(tmp_path):
    write_cifar10(tmp_path)
    with pytest.raises(DataError) as caught:
        load_torchvision(config(tmp_path), size=32, channels=3)
    message = str(caught.value)
    assert message.startswith(
        f"data.root: torchvision finds no cifar10 below {tmp_path} (Dataset not found"
    )
    assert "must hold cifar-10-batches-py/ as torchvision lays it out" in message
    assert "data.download=true" in message


def test_missing_cifar_and_missing_root_are_refused(tmp_path):
    with pytest.raises(DataError, match="torchvision finds no cifar100 below"):
        torchvision_digest(config(tmp_path, "cifar100"))
    with pytest.raises(DataError, match="no data root was given"):
        torchvision_digest(TorchvisionData(source="cifar10"))


def test_cifar_has_its_official_test_split_and_a_balanced_validation_split(cifar):
    dataset = load_torchvision(
        config(cifar, validation_fraction=0.2), size=32, channels=3
    )
    assert dataset.classes == tuple(f"class {i}" for i in range(10))
    assert np.bincount(dataset.train.labels).tolist() == [4] * 10
    assert np.bincount(dataset.valid.labels).tolist() == [1] * 10
    raw = pickle.loads((cifar / "cifar-10-batches-py/test_batch").read_bytes())  # noqa: S301
    test = dataset.test.images.read(np.arange(10))
    assert torch.equal(test, torch.from_numpy(raw["data"].reshape(10, 3, 32, 32)))
    assert dataset.test.labels.tolist() == raw["labels"]


def test_cifar_can_be_resized_and_grey(cifar):
    dataset = load_torchvision(config(cifar), size=16, channels=1)
    images = dataset.train.images.read(np.arange(3))
    assert images.shape == (3, 1, 16, 16)
    assert dataset.mean.shape == dataset.std.shape == (1,)


def test_cifars_digest_covers_its_files(cifar, monkeypatch):
    first = torchvision_digest(config(cifar))
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert load_torchvision(config(cifar), size=8, channels=3).digest == first
    assert torchvision_digest(config(cifar, validation_fraction=0.5)) == first
    data = pickle.dumps({"data": np.zeros((10, 3072), np.uint8), "labels": [0] * 10})
    (cifar / "cifar-10-batches-py" / "test_batch").write_bytes(data)
    checksum = hashlib.md5(data).hexdigest()  # noqa: S324
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", checksum]])
    assert torchvision_digest(config(cifar)) != first


def imagenet(root):
    return write_tree(root, {"train": STANDARD["train"], "val": STANDARD["test"]})


def test_imagenets_validation_folder_is_the_test_split(tmp_path):
    dataset = load_torchvision(
        config(imagenet(tmp_path), "imagenet", validation_fraction=0.25),
        size=6,
        channels=3,
    )
    assert np.bincount(dataset.test.labels).tolist() == [2, 3]
    assert np.bincount(dataset.train.labels).tolist() == [4, 3]
    assert np.bincount(dataset.valid.labels).tolist() == [2, 1]


def test_imagenet_without_its_folders_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(
        DataError, match=r"extracted folders train/ and val/, missing: val"
    ):
        torchvision_digest(config(tmp_path, "imagenet"))


def test_an_imagenet_validation_folder_without_classes_is_refused(tmp_path):
    write_tree(tmp_path, {"train": {"cat": 1, "dog": 1}, "val": {".": 3}})
    with pytest.raises(DataError, match=r"the same classes in val/: .*cat, dog"):
        torchvision_digest(config(tmp_path, "imagenet"))


def test_the_configuration_chooses_the_data(tmp_path):
    root = write_tree(tmp_path, STANDARD)
    data = {"source": "image_folder", "root": str(root), "validation_fraction": 0.25}
    trial = small_trial({"data": data})
    dataset = VISION.load_data(trial)
    assert dataset.train.images.read(np.arange(2)).shape == (2, 1, 8, 8)
    assert VISION.data_digest(trial) == dataset.digest
    digits = small_trial()
    assert VISION.data_digest(digits) == VISION.load_data(digits).digest
    assert isinstance(trial.data, FolderData)


@pytest.mark.data
@pytest.mark.skipif(
    not os.environ.get("D2V_DATA"), reason="D2V_DATA names no real data"
)
@pytest.mark.thorough
def test_real_cifar10_folders_load():
    folders = find_image_folders(os.environ["D2V_DATA"], "cifar10")
    assert folders.classes == (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    dataset = load_image_folders(folders, size=32, channels=3, validation_fraction=0.1)
    for split in (dataset.train, dataset.valid, dataset.test):
        counts = np.bincount(split.labels, minlength=10)
        assert counts.min() == counts.max() > 0
    assert dataset.mean == pytest.approx([0.491, 0.482, 0.447], abs=0.02)
    assert dataset.std == pytest.approx([0.247, 0.243, 0.262], abs=0.02)
