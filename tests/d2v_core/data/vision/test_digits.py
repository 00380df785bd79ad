import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from d2v_core.data.vision.digits import digits_digest, load_digit_images


@pytest.fixture(scope="module")
def digits():
    return load_digit_images(size=8, channels=1)


def test_the_splits_are_disjoint_and_cover_every_digit(digits):
    originals = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    known = sorted(image.tobytes() for image in originals)
    parts = [split.images.array for split in (digits.train, digits.valid, digits.test)]
    ours = sorted(image.tobytes() for part in parts for image in part)
    assert len(ours) == 1797
    assert ours == known


def test_the_splits_have_a_half_a_tenth_and_a_third_and_are_balanced(digits):
    sizes = [len(split) for split in (digits.train, digits.valid, digits.test)]
    assert sum(sizes) == 1797
    assert np.array(sizes) / 1797 == pytest.approx([5 / 9, 1 / 9, 1 / 3], abs=0.003)
    for split in (digits.train, digits.valid, digits.test):
        counts = np.bincount(split.labels, minlength=10)
        assert counts.min() > 0.95 * counts.max() - 1


def test_every_image_keeps_its_label(digits):
    raw = load_digits()
    originals = np.rint(raw.images * 255 / 16).astype(np.uint8)
    label_of = {
        image.tobytes(): label
        for image, label in zip(originals, raw.target, strict=True)
    }
    test = digits.test
    assert len(test.labels) > 100
    for image, label in zip(test.images.array, test.labels, strict=True):
        assert label_of[image.tobytes()] == label


def test_training_images_have_zero_mean_and_unit_variance(digits):
    images = digits.normalise(digits.train.images.read(np.arange(len(digits.train))))
    assert images.dtype == torch.float32
    assert float(images.mean()) == pytest.approx(0.0, abs=1e-4)
    assert float(images.std()) == pytest.approx(1.0, abs=1e-3)


def test_other_sizes_and_channels_keep_splits_and_digest(digits):
    large = load_digit_images(size=16, channels=3)
    images = large.train.images.read(np.arange(4))
    assert images.shape == (4, 3, 16, 16)
    assert torch.equal(images[:, 0], images[:, 2])
    assert (large.train.labels == digits.train.labels).all()
    assert large.digest == digits.digest == digits_digest()
    assert len(digits.digest) == 16
    # Halving again gives nearly the same picture.
    again = images[:, :1].float().unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    original = digits.train.images.read(np.arange(4)).float()
    assert float((again - original).abs().mean()) < 12
