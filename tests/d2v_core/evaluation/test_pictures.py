"""What a picture of samples shows, from numbers that are known."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from d2v_core.evaluation.pictures import (
    GAP,
    GREY,
    HIDDEN,
    MAX_BYTES,
    SIDES,
    colours,
    image_picture,
    principal_axes,
    wave_picture,
)
from d2v_core.objectives.parts.recovered import Recovered


def recovered(batch: int, tokens: int, dim: int, *, right: bool = True) -> Recovered:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(batch, tokens, dim, generator=generator)
    mask = torch.rand(batch, tokens, generator=generator) < 0.5
    mask[:, 0] = True
    predictions = targets[mask] if right else torch.zeros(int(mask.sum()), dim)
    return Recovered(mask, targets, predictions)


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_right_prediction_has_its_targets_colours_and_the_rest_is_grey() -> None:
    shown = recovered(2, 6, 8)
    targets, predictions = colours(shown)
    mask = shown.mask.numpy()
    assert (predictions[mask] == targets[mask]).all()
    assert (predictions[~mask] == GREY).all()
    assert len(np.unique(targets.reshape(-1, 3), axis=0)) > 6


def test_the_axes_are_those_of_most_variance_whatever_their_sign() -> None:
    rows = torch.randn(200, 5) * torch.tensor([1.0, 9.0, 3.0, 0.1, 6.0])
    rows -= rows.mean(dim=0)
    axes = principal_axes(rows)
    assert axes.abs().argmax(dim=0).tolist() == [1, 4, 2]
    assert torch.allclose(axes, principal_axes(-rows), atol=1e-5)
    assert principal_axes(rows[:, :2])[:, 2].abs().sum() == 0  # two channels: two axes


def test_an_image_its_mask_targets_and_predictions_stand_in_a_row() -> None:
    side = SIDES[0]
    images = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8)
    shown = recovered(2, 4, 8)
    picture = opened(image_picture(images, (2, 2), shown))
    assert picture.shape == (2 * side + GAP, 4 * side + 3 * GAP, 3)
    whole, masked = picture[:side, :side], picture[:side, side + GAP : 2 * side + GAP]
    assert (whole == 200).all()
    for place, hidden in enumerate(shown.mask[0]):
        top, left = place // 2 * side // 2, place % 2 * side // 2
        assert (masked[top, left] == (HIDDEN if hidden else (200,) * 3)).all()


def test_noise_still_fits_into_100_kib() -> None:
    images = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    png = image_picture(images, (14, 14), recovered(3, 196, 16))
    assert len(png) <= MAX_BYTES
    wave = torch.randn(3, 48_000)
    assert len(wave_picture(wave, recovered(3, 149, 16))) <= MAX_BYTES


def test_dead_networks_and_broken_numbers_are_drawn_too() -> None:
    still = recovered(2, 4, 8, right=False)
    dead = Recovered(still.mask, torch.zeros(2, 4, 8), still.predictions)
    image_picture(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), (2, 2), dead)
    short = Recovered(still.mask, still.targets, still.predictions * torch.nan)
    assert opened(wave_picture(torch.zeros(2, 50), short)).ndim == 3
