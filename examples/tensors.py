"""A data set of tensors: bright bars, lying or standing, on noise."""

import torch

Split = tuple[torch.Tensor, torch.Tensor]


def bars(
    root: str | None, image_size: int, channels: int, num_images: int = 300
) -> dict[str, Split]:
    """Make three splits, the same ones at every call.

    Args:
        root: The data root, which is not needed here.
        image_size: Side of the images in pixels.
        channels: 1 or 3.
        num_images: In each split.

    Returns:
        By split: images, uint8 of shape (images, channels, image_size, image_size), and
        labels from 0 of shape (images,).
    """
    generator = torch.Generator().manual_seed(0)

    def split() -> Split:
        size = num_images, channels, image_size, image_size
        images = torch.randint(0, 128, size, generator=generator)
        labels = torch.randint(0, 2, (num_images,), generator=generator)
        places = torch.randint(0, image_size, (num_images,), generator=generator)
        for image, label, place in zip(images, labels, places, strict=True):
            image.select(1 + int(label), int(place)).fill_(255)
        return images.to(torch.uint8), labels

    return {name: split() for name in ("train", "valid", "test")}
