import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.config.vision import AugmentationConfig
from d2v_core.data.vision.batches import ImageBatches, shuffled
from d2v_core.data.vision.images import ArrayImages, ImageDataset, Split
from tests.d2v_core.small import small_dataset, small_split


def batches(batch_size=8, seed=0, dataset=None, **augmentation):
    return ImageBatches(
        dataset=dataset or small_dataset(),
        batch_size=batch_size,
        seed=seed,
        augmentation=AugmentationConfig(**augmentation),
    )


def dataset_of(num_images):
    split = small_split(num_images, seed=0)
    one = np.ones(1)
    return ImageDataset("n", "0" * 16, ("a", "b", "c"), split, split, split, one, one)


@settings(max_examples=30, deadline=None)
@given(
    num_images=st.integers(1, 23), batch_size=st.integers(1, 40), seed=st.integers(0, 9)
)
def test_every_pass_reads_every_image_once_across_batch_borders(
    num_images, batch_size, seed
):
    draw = batches(batch_size, seed, dataset_of(num_images))
    num_steps = 3 * num_images // batch_size + 1
    order = np.concatenate([draw.indices(step) for step in range(1, num_steps + 1)])
    for start in range(0, len(order) - num_images + 1, num_images):
        one_pass = order[start : start + num_images]
        assert sorted(one_pass.tolist()) == list(range(num_images))


def test_passes_are_shuffled_differently():
    assert (shuffled(0, 0, 30) != shuffled(0, 1, 30)).any()
    assert (shuffled(0, 0, 30) != shuffled(1, 0, 30)).any()


@pytest.mark.parametrize(
    "augmentation",
    [
        {},
        {"kind": "shift", "max_shift": 2},
        {"kind": "resized_crop", "min_scale": 0.3},
        {"horizontal_flip": True},
        {"color_jitter": 0.4},
    ],
)
def test_a_batch_is_a_function_of_seed_and_update(augmentation):
    draw = batches(**augmentation)
    images, labels = draw(7)
    draw(3)
    again, labels_again = batches(**augmentation)(7)
    assert torch.equal(images, again)
    assert torch.equal(labels, labels_again)
    assert images.shape == (8, 1, 8, 8)
    assert images.dtype == torch.float32
    other, _ = batches(seed=1, **augmentation)(7)
    assert not torch.equal(images, other)


def test_images_are_normalised_and_keep_their_labels():
    draw = batches()
    images, labels = draw(2)
    indices = draw.indices(2)
    train = draw.dataset.train
    expected = (train.images.array[indices] / 255.0 - 0.4) / 0.25
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert labels.tolist() == train.labels[indices].tolist()
    assert labels.dtype == torch.int64


def test_augmentation_does_not_change_the_order():
    plain, changed = batches(), batches(kind="shift", color_jitter=0.5)
    assert (plain.indices(5) == changed.indices(5)).all()


def test_an_augmented_image_comes_from_its_own_source():
    # Constant images survive every shift, crop and flip: values tell who is who.
    values = np.arange(30, dtype=np.uint8)
    pixels = np.broadcast_to(values[:, None, None, None], (30, 1, 8, 8)).copy()
    split = Split(ArrayImages(pixels), values.astype(np.int64))
    one = np.ones(1)
    dataset = ImageDataset("n", "0" * 16, ("a",), split, split, split, one, one)
    for kind in ("shift", "resized_crop"):
        draw = batches(dataset=dataset, kind=kind, horizontal_flip=True)
        images, labels = draw(1)
        recovered = ((images + 1.0) * 255.0).round().long()
        assert (recovered == labels[:, None, None, None]).all()
