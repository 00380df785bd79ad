import math

import numpy as np
import pytest
import torch

from d2v_core.data.vision.augmentation import (
    jitter_colors,
    random_boxes,
    random_flip,
    random_shift,
)


class Known(np.random.Generator):
    """A generator whose integers are known."""

    def __init__(self, values):
        super().__init__(np.random.PCG64(0))
        self.values = np.array(values)

    def integers(self, low, high, size):
        assert self.values.min() >= low
        assert self.values.max() < high
        return self.values.reshape(size)


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 4))
    return torch.from_numpy(pixels.astype(np.uint8))


SHIFTS = [[-1, 2, 0, 1, 0, -2], [0, -2, 1, 2, 0, -1]]


def test_a_shift_moves_whole_pixels_and_repeats_the_edge(images):
    shifted = random_shift(images, 2, Known(SHIFTS))
    for i in range(6):
        down, right = SHIFTS[0][i], SHIFTS[1][i]
        for row in range(5):
            for column in range(4):
                source = min(max(row + down, 0), 4), min(max(column + right, 0), 3)
                assert torch.equal(
                    shifted[i, :, row, column], images[i, :, source[0], source[1]]
                )


def test_shifts_cover_both_directions_up_to_the_largest():
    marked = torch.zeros(400, 1, 7, 7, dtype=torch.uint8)
    marked[:, 0, 3, 3] = 255
    shifted = random_shift(marked, 2, np.random.default_rng(0))
    places = {tuple(place) for place in shifted.nonzero()[:, 2:].tolist()}
    assert places == {(r, c) for r in range(1, 6) for c in range(1, 6)}


def test_a_flip_mirrors_left_and_right_in_half_of_the_images(images):
    many = images.repeat(100, 1, 1, 1)
    flipped = random_flip(many, np.random.default_rng(0))
    mirrored = torch.from_numpy(many.numpy()[:, :, :, ::-1].copy())
    same = (flipped == many).flatten(1).all(1)
    other = (flipped == mirrored).flatten(1).all(1)
    assert (same ^ other).all()
    assert 0.42 < float(other.float().mean()) < 0.58


def test_crop_boxes_lie_inside_and_have_the_standard_areas_and_aspects():
    boxes = np.array(random_boxes(2000, 0.2, np.random.default_rng(0)))
    left, top, right, bottom = boxes.T
    assert boxes.min() >= 0.0
    assert boxes.max() <= 1.0 + 1e-9
    width, height = right - left, bottom - top
    area, aspect = width * height, width / height
    assert area.min() >= 0.2 - 1e-9
    assert aspect.min() >= 3 / 4 - 1e-9
    assert aspect.max() <= 4 / 3 + 1e-9
    assert abs(np.log(aspect).mean()) < 0.02


def test_small_crop_areas_are_uniform():
    # Up to an area of 3/4 every aspect fits, so nothing is rejected below it.
    boxes = np.array(random_boxes(4000, 0.1, np.random.default_rng(1)))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    counts, _ = np.histogram(area, bins=[0.1, 0.3, 0.5, 0.7])
    assert counts.std() / counts.mean() < 0.08


def test_a_minimum_of_one_keeps_whole_images_possible():
    boxes = random_boxes(50, 1.0, np.random.default_rng(0))
    assert all(math.isclose((r - x) * (b - y), 1.0) for x, y, r, b in boxes)


def jitter_oracle(image, brightness, contrast, saturation):
    def grey(x):
        return 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2] if len(x) == 3 else x.mean(0)

    pixels = image.astype(np.float64) * brightness
    level = grey(pixels).mean()
    pixels = level + contrast * (pixels - level)
    pixels = grey(pixels) + saturation * (pixels - grey(pixels))
    return np.clip(np.round(pixels), 0, 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_jitter_scales_brightness_contrast_and_saturation(images, channels):
    images = images[:, :channels]
    generator = np.random.default_rng(4)
    factors = np.random.default_rng(4).uniform(0.6, 1.4, size=(3, 6))
    jittered = jitter_colors(images, 0.4, generator).numpy()
    for i in range(6):
        expected = jitter_oracle(images[i].numpy(), *factors[:, i])
        assert np.abs(jittered[i] - expected).max() <= 1


def test_no_strength_changes_nothing(images):
    assert torch.equal(jitter_colors(images, 0.0, np.random.default_rng(0)), images)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, g: random_shift(x, 2, g),
        random_flip,
        lambda x, g: jitter_colors(x, 0.5, g),
    ],
)
def test_every_change_is_a_function_of_its_generator(images, change):
    first = change(images, np.random.default_rng(3))
    assert torch.equal(first, change(images, np.random.default_rng(3)))
    assert not torch.equal(first, change(images, np.random.default_rng(5)))
