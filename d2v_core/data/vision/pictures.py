"""Picture files as viewers show them, whatever they hold their pixels in."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

DECODING_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises for files that are no image, cut short or too large."""

MAX_PIXELS = 89_478_485
"""Largest picture: above it Pillow suspects a decompression bomb; 256 MiB decoded."""


def as_shown(file: Image.Image) -> Image.Image:
    """Load a picture as viewers show it: upright, with 8 bits, over white.

    Pillow alone ignores the camera's orientation, cuts 16 bits off at 255, and uncovers
    whatever colour lies under transparent pixels.

    Raises:
        ValueError: It is too large, or its pixels have no known range.
    """
    if file.width * file.height > MAX_PIXELS:
        size = f"{file.width:,} x {file.height:,}"
        raise ValueError(f"must have at most {MAX_PIXELS:,} pixels, has {size}")
    file.load()
    image = file if _orientation(file) == 1 else ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("must have 8 or 16 bits per channel, has 32 of unknown range")
    if not image.has_transparency_data:
        return image
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def is_read_otherwise(path: Path) -> bool:
    """Whether Pillow alone, as earlier versions, would not see what a viewer shows."""
    try:
        with Image.open(path) as file:
            if file.mode.startswith("I;16"):
                return True
            if file.format != "TIFF" and _orientation(file) != 1:  # Pillow turns those
                return True
            if not file.has_transparency_data:
                return False
            least, _ = file.convert("RGBA").getchannel("A").getextrema()
            return bool(least != 255)
    except DECODING_ERRORS:
        return False


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (*DECODING_ERRORS, TypeError):  # viewers ignore tags that are broken
        return 1
