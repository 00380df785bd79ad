"""Pictures of a few samples: what is hidden of them, and what a network predicts there.

Targets and predictions are vectors; their first three principal components (of the
targets shown, over all samples) become red, green and blue, as in DINOv2 (Oquab et al.
2023, arXiv 2304.07193, figure 1). Equal colours in the last two pictures of a row mean
that the prediction is right there. Blue in the second is hidden; nothing is predicted
where the last is grey.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from d2v_core.objectives.parts.recovered import Recovered

NUM_SAMPLES = 3
MAX_BYTES = 100 * 1_024
SIDES = (96, 64, 48, 32)
"""Pixels of an image's side, the first that fits into the bytes."""
GAP = 4
HIDDEN, GREY = (84, 96, 176), 128
"""Colours: of the mask, which no grey image has, and of places without prediction."""
WIDTHS, HEIGHT, STRIP = (480, 320, 160), 64, 24
"""Pixels of a spectrogram, likewise, and the height of colours below it."""
WINDOW, HOP, NUM_BANDS = 400, 160, 64
"""Window and hop of a spectrogram, in samples at 16 kHz; bands up to 4 kHz."""
SHARES = (0.02, 0.98)
"""Quantiles of a component that become the darkest and the brightest colour."""

Pixels = UInt8[np.ndarray, "height width 3"]


def image_picture(
    images: UInt8[Tensor, "batch channels height width"],
    grid: tuple[int, int],
    recovered: Recovered,
) -> bytes:
    """A row for each image: itself, with its mask, its targets, the predictions.

    Args:
        images: As they were before they were scaled.
        grid: Rows and columns of patches.
        recovered: Mask, targets and predictions of these images.

    Returns:
        A PNG of at most 100 KiB.
    """
    targets, predictions = colours(recovered)
    shown = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    masks = recovered.mask.cpu().view(-1, *grid).numpy()
    png = b""
    for side in SIDES:
        rows = []
        for image, mask, *tokens in zip(
            shown, masks, targets, predictions, strict=True
        ):
            whole = resized(image, side, side)
            grids = [resized(part.reshape(*grid, 3), side, side) for part in tokens]
            rows.append(beside([whole, covered(whole, mask), *grids], axis=1))
        png = as_png(beside(rows, axis=0))
        if len(png) <= MAX_BYTES:
            break
    return png


def wave_picture(waves: Float[Tensor, "batch samples"], recovered: Recovered) -> bytes:
    """Below each other for each wave: itself, with its mask, targets, predictions.

    Args:
        waves: At 16 kHz, of one length and without padding.
        recovered: Mask, targets and predictions of these waves.

    Returns:
        A PNG of at most 100 KiB.
    """
    tokens = colours(recovered)
    masks = recovered.mask.cpu().numpy()
    png = b""
    for width in WIDTHS:
        blocks = []
        for wave, mask, *parts in zip(waves, masks, *tokens, strict=True):
            whole = resized(spectrogram(wave), HEIGHT, width)
            strips = [resized(part[None], STRIP, width) for part in parts]
            blocks.append(beside([whole, covered(whole, mask[None]), *strips], axis=0))
        png = as_png(beside(blocks, axis=0))
        if len(png) <= MAX_BYTES:
            break
    return png


def covered(pixels: Pixels, mask: Bool[np.ndarray, "rows columns"]) -> Pixels:
    """A picture with its hidden places painted over."""
    hidden = np.repeat(mask[..., None], 3, axis=2) * np.uint8(255)
    large = resized(hidden, *pixels.shape[:2])
    return np.where(large > 0, np.array(HIDDEN, dtype=np.uint8), pixels)


def colours(
    recovered: Recovered,
) -> tuple[UInt8[np.ndarray, "batch tokens 3"], UInt8[np.ndarray, "batch tokens 3"]]:
    """Targets and predictions as colours on one scale, grey where none is predicted."""
    targets = recovered.targets.detach().cpu().double().nan_to_num()
    predictions = recovered.predictions.detach().cpu().double().nan_to_num()
    rows = targets.flatten(0, 1)
    mean = rows.mean(dim=0)
    axes = principal_axes(rows - mean)
    low, high = torch.quantile((rows - mean) @ axes, torch.tensor(SHARES).double(), 0)

    def coloured(vectors: Tensor) -> Tensor:
        scaled: Tensor = ((vectors - mean) @ axes - low) / (high - low).clamp_min(1e-12)
        return (scaled.clamp(0.0, 1.0) * 255).to(torch.uint8)

    mask = recovered.mask.cpu()
    predicted = torch.full((*mask.shape, 3), GREY, dtype=torch.uint8)
    predicted[mask] = coloured(predictions)
    return coloured(targets).numpy(), predicted.numpy()


def principal_axes(
    centred: Float[Tensor, "rows dim"],
) -> Float[Tensor, "dim 3"]:
    """The first three directions of most variance; zeros where there are fewer.

    Each points to where its largest entry is positive, so that the colours do not
    depend on the sign that a library gives it.
    """
    axes = centred.new_zeros(centred.shape[1], 3)
    components = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    largest = components.abs().argmax(dim=1, keepdim=True)
    axes[:, : len(components)] = (components * components.gather(1, largest).sign()).T
    return axes


def spectrogram(wave: Float[Tensor, " samples"]) -> Pixels:
    """Loudness in decibels, 60 of them from black to white, high pitches above."""
    window = torch.hann_window(WINDOW)
    padded = torch.nn.functional.pad(wave.float(), (0, max(0, WINDOW - len(wave))))
    frames = padded.unfold(0, WINDOW, HOP) * window
    power = torch.fft.rfft(frames, dim=1).abs().square()[:, :NUM_BANDS]
    decibels = 10 * power.clamp_min(1e-10).log10()
    shown = (decibels - decibels.max() + 60).clamp(0, 60) / 60 * 255
    grey = shown.to(torch.uint8).numpy().T[::-1]
    return np.repeat(grey[..., None], 3, axis=2)


def resized(pixels: np.ndarray, height: int, width: int) -> Pixels:
    """Larger without blur: patches keep their edges; smaller by averaging."""
    shrinks = pixels.shape[0] > height or pixels.shape[1] > width
    how = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    return np.asarray(image.resize((width, height), how))


def beside(parts: Sequence[np.ndarray], axis: int) -> Pixels:
    """Parts in a line with white between them."""
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, dtype=np.uint8)
    line = [piece for part in parts for piece in (gap, part)]
    return np.concatenate(line[1:], axis=axis)


def as_png(pixels: Pixels) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
