import numpy as np
import pytest
import torch
from PIL import Image

from d2v_core.data.vision.images import ArrayImages, FileImages, Split, decode_image


def ramp_image(path, width=40, height=20):
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width)[None, :]
    pixels[:, :, 1] = np.linspace(0, 255, height)[:, None]
    Image.fromarray(pixels).save(path)
    return path


def test_without_a_box_the_centre_square_is_taken(tmp_path):
    image = decode_image(ramp_image(tmp_path / "a.png"), size=10, channels=3)
    assert image.shape == (3, 10, 10)
    assert image.dtype == np.uint8
    red, green = image[0].mean(axis=0), image[1].mean(axis=1)
    # 40 x 20: columns 10 to 30 and all rows.
    assert red[0] == pytest.approx(255 * 10.5 / 39, abs=4)
    assert red[-1] == pytest.approx(255 * 28.5 / 39, abs=4)
    assert green[0] == pytest.approx(255 * 0.5 / 19, abs=6)
    assert green[-1] == pytest.approx(255 * 18.5 / 19, abs=6)


def covered(image):
    """Share of the width and of the height that a crop of the ramp shows."""
    red, green = image[0].mean(axis=0), image[1].mean(axis=1)
    scale = len(red) / (len(red) - 1) / 255
    return (red[-1] - red[0]) * scale, (green[-1] - green[0]) * scale


@pytest.mark.parametrize(("width", "height"), [(40, 40), (80, 20), (24, 66)])
@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 0.5, 0.5), (0.4, 0.1, 0.8, 0.4), (0.5, 0.5, 0.75, 0.95)]
)
def test_a_box_keeps_its_area_and_pixel_aspect_on_every_image(
    tmp_path, width, height, box
):
    path = ramp_image(tmp_path / "a.png", width, height)
    image = decode_image(path, size=32, channels=3, box=box)
    across, down = covered(image)
    aspect = (box[2] - box[0]) / (box[3] - box[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    fits = max(
        np.sqrt(area * aspect * height / width),
        np.sqrt(area / aspect * width / height),
    )
    assert across * width / (down * height) == pytest.approx(aspect, rel=0.15)
    if fits <= 1:
        assert across * down == pytest.approx(area, rel=0.15)
    else:  # too long for the image: as large as fits
        assert max(across, down) == pytest.approx(1.0, rel=0.1)


def test_a_whole_box_on_a_square_image_is_the_whole_image(tmp_path):
    path = ramp_image(tmp_path / "a.png", 32, 32)
    whole = decode_image(path, size=32, channels=3, box=(0.0, 0.0, 1.0, 1.0))
    assert (whole == decode_image(path, size=32, channels=3)).all()


def test_the_place_of_a_box_is_kept(tmp_path):
    path = ramp_image(tmp_path / "a.png", 64, 64)
    image = decode_image(path, size=32, channels=3, box=(0.5, 0.0, 1.0, 0.5))
    assert image[0].min() > 120
    assert image[1].max() < 135


def test_grey_is_the_luma(tmp_path):
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "a.png")
    image = decode_image(tmp_path / "a.png", size=4, channels=1)
    assert image.shape == (1, 4, 4)
    expected = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert abs(int(image[0, 0, 0]) - expected) <= 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    name = "a.tiff" if mode == "CMYK" else "a.png"
    Image.new("RGB", (4, 4), (200, 200, 200)).convert(mode).save(tmp_path / name)
    image = decode_image(tmp_path / name, size=4, channels=3)
    assert image.shape == (3, 4, 4)


def test_files_and_arrays_read_the_same(tmp_path):
    paths = [ramp_image(tmp_path / f"{i}.png", 12 + i, 12 + i) for i in range(3)]
    files = FileImages(paths, size=12, channels=3, num_threads=2)
    array = np.stack([decode_image(p, size=12, channels=3) for p in paths])
    wanted = np.array([2, 0])
    assert len(files) == 3
    assert torch.equal(files.read(wanted), ArrayImages(array).read(wanted))


@pytest.mark.parametrize("channels", [1, 3])
def test_array_crops_are_the_pixels_of_the_box_resized_back(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (2, channels, 8, 8))
    reader = ArrayImages(pixels.astype(np.uint8))
    boxes = [(0.0, 0.0, 1.0, 1.0), (0.25, 0.5, 0.75, 1.0)]
    whole, part = reader.read(np.array([0, 1]), boxes)
    assert whole.tolist() == pixels[0].tolist()
    source = torch.from_numpy(pixels[1, :, 4:8, 2:6]).double()[None]
    expected = torch.nn.functional.interpolate(
        source, size=(8, 8), mode="bilinear", align_corners=False
    )[0]
    assert float((part.double() - expected).abs().max()) <= 1.0


def test_a_subset_of_a_subset_counts_positions_of_the_first():
    array = np.arange(10, dtype=np.uint8)[:, None, None, None]
    split = Split(ArrayImages(array), np.arange(10))
    inner = split.subset(np.array([8, 6, 4, 2])).subset(np.array([3, 1]))
    assert inner.labels.tolist() == [2, 6]
    assert inner.images.read(np.array([1, 0])).flatten().tolist() == [6, 2]
    assert len(inner) == len(inner.images) == 2
