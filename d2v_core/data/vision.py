"""The vision data sets by configuration."""

from __future__ import annotations

from d2v_core.config.trial import VisionTrial
from d2v_core.config.vision import DigitsData, FolderData
from d2v_core.data.digits import digits_digest, load_digit_images
from d2v_core.data.folders import find_image_folders, load_image_folders
from d2v_core.data.images import ImageDataset
from d2v_core.data.torchvision_sets import load_torchvision, torchvision_digest


def vision_digest(trial: VisionTrial) -> str:
    """Digest of the data a trial reads, 16 hex digits; fast once computed.

    Raises:
        DataError: The data is not there.
    """
    data = trial.data
    if isinstance(data, DigitsData):
        return digits_digest()
    if isinstance(data, FolderData):
        return find_image_folders(data.root, data.folder).digest()
    return torchvision_digest(data)


def load_vision_data(trial: VisionTrial) -> ImageDataset:
    """The three splits of a trial's data, at the encoder's size and channels.

    Raises:
        DataError: The data is not there or broken.
    """
    data = trial.data
    size, channels = trial.vision.image_size, trial.vision.channels
    if isinstance(data, DigitsData):
        return load_digit_images(size=size, channels=channels)
    if isinstance(data, FolderData):
        return load_image_folders(
            find_image_folders(data.root, data.folder),
            size=size,
            channels=channels,
            validation_fraction=data.validation_fraction,
        )
    return load_torchvision(data, size=size, channels=channels)
