"""Pictures are read as a viewer shows them, whatever the file holds them in."""

import warnings

import numpy as np
import pytest
from PIL import Image

from d2v_core.data.vision import pictures
from d2v_core.data.vision.images import decode_each, decode_image
from d2v_core.data.vision.pictures import is_read_otherwise

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (8, 8), dtype=np.uint8)
COLOUR = GENERATOR.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def read(path, channels=3):
    return decode_image(path, size=8, channels=channels)


def reason(path):
    (result,) = decode_each([path], size=8, channels=3, num_threads=1)
    assert isinstance(result, str)
    return result


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_the_same_picture_as_eight(tmp_path, suffix, channels):
    wide = GREY.astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / f"a.{suffix}")
    expected = np.repeat(GREY[None], channels, axis=0)
    assert np.array_equal(read(tmp_path / f"a.{suffix}", channels), expected)


def test_sixteen_bits_are_rounded_to_the_nearest_of_eight(tmp_path):
    wide = np.array([[0, 128, 129, 256, 257, 65_407, 65_535, 300]] * 8, np.uint16)
    Image.fromarray(wide).save(tmp_path / "a.png")
    expected = np.rint(wide / 257).astype(np.uint8)
    assert np.array_equal(read(tmp_path / "a.png", 1)[0], expected)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_no_known_range_are_refused(tmp_path, kind):
    Image.fromarray(GREY.astype(kind)).save(tmp_path / "a.tif")
    assert reason(tmp_path / "a.tif").startswith("must have 8 or 16 bits per channel")


# What a camera held in each way writes, and numpy's way to turn it upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_pictures_stand_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path, plain = tmp_path / f"a.{suffix}", tmp_path / f"plain.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(COLOUR).save(plain, **options)
    Image.fromarray(COLOUR).save(path, exif=exif, **options)
    stored = read(plain).transpose(1, 2, 0)
    expected = UPRIGHT[orientation](stored).transpose(2, 0, 1)
    assert np.array_equal(read(path), expected)


def test_broken_tags_do_not_make_a_picture_broken(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff")
    assert np.array_equal(read(tmp_path / "a.png"), COLOUR.transpose(2, 0, 1))


def test_transparent_pixels_are_seen_over_white(tmp_path):
    alpha = GENERATOR.integers(0, 256, (8, 8, 1), dtype=np.uint8)
    alpha[:, :2] = 0
    Image.fromarray(np.concatenate([COLOUR, alpha], axis=2)).save(tmp_path / "a.png")
    share = alpha / 255.0
    expected = (COLOUR * share + 255.0 * (1.0 - share)).transpose(2, 0, 1)
    found = read(tmp_path / "a.png")
    assert np.abs(found - expected).max() <= 1.0
    assert (found[:, :, :2] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_an_opaque_fourth_channel_changes_nothing(tmp_path, channels):
    opaque = np.full((8, 8, 1), 255, np.uint8)
    Image.fromarray(COLOUR).save(tmp_path / "rgb.png")
    Image.fromarray(np.concatenate([COLOUR, opaque], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(
        read(tmp_path / "a.png", channels), read(tmp_path / "rgb.png", channels)
    )


def test_palettes_and_one_bit_are_the_colours_they_stand_for(tmp_path):
    picture = Image.fromarray(COLOUR).quantize(16)
    picture.save(tmp_path / "palette.png")
    shown = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(read(tmp_path / "palette.png"), shown)
    picture.save(tmp_path / "hole.png", transparency=int(np.asarray(picture)[0, 0]))
    assert (read(tmp_path / "hole.png")[:, 0, 0] == 255).all()
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert np.array_equal(read(tmp_path / "bits.png", 1)[0], bits * np.uint8(255))


def test_inks_are_the_colours_they_print(tmp_path):
    flat = Image.new("RGB", (8, 8), (200, 60, 20))
    flat.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    found = read(tmp_path / "a.jpg").reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(found, (200, 60, 20), atol=3)


def test_pictures_too_large_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 63)
    assert reason(tmp_path / "a.png") == "must have at most 63 pixels, has 8 x 8"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own suspicion
        assert "decompression bomb" in reason(tmp_path / "a.png")


def test_digests_change_only_where_pillow_alone_saw_another_picture(tmp_path):
    opaque = np.full((8, 8, 1), 255, np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / "rgb.png")
    Image.fromarray(GREY).save(tmp_path / "grey.jpg")
    Image.fromarray(np.concatenate([COLOUR, opaque], axis=2)).save(tmp_path / "a.png")
    Image.fromarray(GREY.astype(np.uint16)).save(tmp_path / "wide.png")
    Image.fromarray(COLOUR).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(np.concatenate([COLOUR, opaque // 2], 2)).save(tmp_path / "b.png")
    (tmp_path / "none.png").write_text("no image")
    marked = {path.name for path in tmp_path.iterdir() if is_read_otherwise(path)}
    assert marked == {"wide.png", "turned.jpg", "b.png"}
