"""Vision: images through a timm ViT, patches masked, a probe on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from d2v_core.config.data2vec2 import InverseBlockMask
from d2v_core.config.memory import MemoryData
from d2v_core.config.own import reference_in
from d2v_core.config.own_masks import OwnPatchMask
from d2v_core.config.vision import (
    DigitsData,
    FolderData,
    ImagesData,
    OwnImages,
    RandomMask,
    VisionData,
    VisionTrial,
)
from d2v_core.data.batch import Batches
from d2v_core.data.vision.any_images import as_images, fitted_image
from d2v_core.data.vision.batches import ImageBatches
from d2v_core.data.vision.digits import digits_digest, load_digit_images
from d2v_core.data.vision.folders import find_image_folders, load_image_folders
from d2v_core.data.vision.images import ImageDataset, scaled_images
from d2v_core.data.vision.own import own_change
from d2v_core.data.vision.own_images import load_own_images
from d2v_core.data.vision.torchvision_sets import load_torchvision, torchvision_digest
from d2v_core.data.vision.unlabelled import (
    find_images,
    images_digest,
    load_unlabelled,
)
from d2v_core.encoders.images import ImageEncoder
from d2v_core.encoders.initialisation import draw_reference_weights
from d2v_core.encoders.inputs import Inputs
from d2v_core.encoders.own import encoder_problems, own_encoder
from d2v_core.errors import Problem
from d2v_core.evaluation.labels import check_num_labels, label_demand
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.own import own_metrics
from d2v_core.evaluation.pictures import NUM_SAMPLES, image_picture
from d2v_core.evaluation.vision.evaluate import evaluate_images
from d2v_core.masks.inverse_block import InverseBlockMasks
from d2v_core.masks.masked import Masked, MaskSampler
from d2v_core.masks.own import own_patch_masks
from d2v_core.masks.patches import BlockMasks, PatchMasks, RandomMasks
from d2v_core.modalities.modality import (
    Modality,
    Recover,
    block_rule,
    joined_digest,
    probed_beside,
)
from d2v_core.training.parallel import ALONE, Workers


class Vision(Modality[VisionTrial, ImageEncoder, ImageDataset]):
    """Images."""

    def data_digest(self, trial: VisionTrial) -> str:
        """Digest of the images, of those that are probed on too."""
        return joined_digest(
            lambda data: _digest(data, trial), trial.data, trial.evaluation.data
        )

    def training_digest(self, trial: VisionTrial) -> str:
        """Digest of the images it is trained on."""
        return _digest(trial.data, trial)

    def load_data(self, trial: VisionTrial) -> ImageDataset:
        """Three splits at the encoder's size and channels.

        Raises:
            ConfigError: More labels are wanted than there are.
        """
        dataset = _load(trial.data, trial)
        if trial.evaluation.data is not None:
            # Scaled as the encoder was trained, whatever their own mean.
            probed = _load(trial.evaluation.data, trial)
            probed = replace(probed, mean=dataset.mean, std=dataset.std)
            dataset = probed_beside(dataset, probed)
        labelled = dataset.probed or dataset
        if labelled.classes:
            check_num_labels(trial.evaluation, {labelled.name: len(labelled.train)})
        return dataset

    def same_data(self, trial: VisionTrial) -> str:
        """Images are decoded at the encoder's size, and must be enough."""
        size, channels = trial.vision.image_size, trial.vision.channels
        labels = label_demand(trial.evaluation)
        probed = trial.evaluation.data
        own = "" if probed is None else f" {probed.model_dump_json()}"
        return f"{super().same_data(trial)} {size} {channels} {labels}{own}"

    def build_encoder(self, trial: VisionTrial) -> ImageEncoder:
        """A timm ViT with a mask token, or the user's own network with one."""
        if reference_in(trial.vision.timm_model):
            return own_encoder(trial)
        # timm takes seconds to import, which a driver need not spend before it starts
        # workers.
        from d2v_core.encoders.timm_vision import VisionEncoder, create_vit

        options = trial.vision.model_dump(
            exclude={"image_size", "channels", "init", "settings"}
        )
        vit = create_vit(
            image_size=trial.vision.image_size,
            channels=trial.vision.channels,
            **options,
        )
        encoder = VisionEncoder(vit)
        if trial.vision.init == "reference":
            draw_reference_weights(encoder.vit, encoder.mask_token)
        return encoder

    def check(self, trial: VisionTrial, encoder: ImageEncoder) -> list[Problem]:
        """The user's own can be used; a class token is pooled where there is one."""
        if problems := encoder_problems(trial):
            return problems
        own_change(trial, trial.augmentation)
        super().check(trial, encoder)
        if trial.evaluation.pooling != "class_token" or encoder.has_class_token:
            return []
        name = trial.vision.timm_model
        message = f"class_token needs a model that has one, {name!r} has none"
        return [Problem("evaluation.pooling", message)]

    def masks(
        self, trial: VisionTrial, encoder: ImageEncoder, workers: Workers = ALONE
    ) -> MaskSampler:
        """Blocks or random patches."""
        draw = build_patch_masks(trial, encoder.grid)

        def sample(images: Inputs, generator: np.random.Generator) -> Masked:
            size = workers.whole(len(images))
            mask = draw(size, generator)[workers.rows(size)]
            return Masked(torch.from_numpy(mask).flatten(1))

        return sample

    def batches(
        self, trial: VisionTrial, dataset: ImageDataset, workers: Workers = ALONE
    ) -> Batches:
        """Normalised, augmented images with class indices."""
        return ImageBatches(
            dataset=dataset,
            batch_size=trial.training.batch_size,
            seed=trial.seed,
            augmentation=trial.augmentation,
            workers=workers,
            own_change=own_change(trial, trial.augmentation),
        )

    def example(self, trial: VisionTrial, num_samples: int) -> Inputs:
        """Black images."""
        size = trial.vision.image_size
        return torch.zeros(num_samples, trial.vision.channels, size, size)

    def evaluate(
        self, trial: VisionTrial, encoder: ImageEncoder, dataset: ImageDataset
    ) -> Evaluation:
        """Linear probe and k-NN, and fine-tuning when asked for."""
        return evaluate_images(
            encoder,
            dataset,
            trial.evaluation,
            augmentation=trial.augmentation,
            seed=trial.seed,
            own_metrics=own_metrics(trial, trial.evaluation.metrics),
            own_change=own_change(trial, trial.augmentation),
        )

    def picture(
        self,
        trial: VisionTrial,
        encoder: ImageEncoder,
        dataset: ImageDataset,
        recover: Recover,
    ) -> bytes | None:
        """The first images with patches left out, and colours of what is predicted."""
        split = dataset.valid if len(dataset.valid) else dataset.train
        images = split.images.read(np.arange(min(NUM_SAMPLES, len(split))))
        recovered = recover(scaled_images(images, dataset.mean, dataset.std))
        return image_picture(images, encoder.grid, recovered)

    def inputs_of(
        self, trial: VisionTrial, samples: Any, preprocessing: Mapping[str, Any]
    ) -> Inputs:
        """Images cut to squares, resized, scaled and shifted as in training."""
        size, channels = trial.vision.image_size, trial.vision.channels
        fitted = [fitted_image(one, size, channels) for one in as_images(samples)]
        images = np.concatenate(fitted)
        mean, std = (np.array(preprocessing[name]) for name in ("mean", "std"))
        return scaled_images(torch.from_numpy(images), mean, std)

    def preprocessing(
        self, trial: VisionTrial, dataset: ImageDataset
    ) -> Mapping[str, Any]:
        """What is subtracted and divided by, per channel, of pixels in [0, 1]."""
        return {
            "mean": tuple(map(float, dataset.mean)),
            "std": tuple(map(float, dataset.std)),
        }


def _digest(data: VisionData, trial: VisionTrial) -> str:
    if isinstance(data, MemoryData):
        return data.digest
    if isinstance(data, DigitsData):
        return digits_digest()
    if isinstance(data, FolderData):
        return find_image_folders(data.root, data.folder).digest()
    if isinstance(data, ImagesData):
        return images_digest(find_images(data))
    if isinstance(data, OwnImages):
        return load_own_images(trial, data).digest
    return torchvision_digest(data)


def _load(data: VisionData, trial: VisionTrial) -> ImageDataset:
    size, channels = trial.vision.image_size, trial.vision.channels
    if isinstance(data, MemoryData):
        raise data.gone()
    if isinstance(data, DigitsData):
        return load_digit_images(size=size, channels=channels)
    if isinstance(data, FolderData):
        return load_image_folders(
            find_image_folders(data.root, data.folder),
            size=size,
            channels=channels,
            validation_fraction=data.validation_fraction,
            on_error=data.on_error,
        )
    if isinstance(data, ImagesData):
        return load_unlabelled(find_images(data), data, size=size, channels=channels)
    if isinstance(data, OwnImages):
        return load_own_images(trial, data)
    return load_torchvision(data, size=size, channels=channels)


def build_patch_masks(trial: VisionTrial, grid: tuple[int, int]) -> PatchMasks:
    """Masks of the configured kind."""
    mask = trial.mask
    if isinstance(mask, RandomMask):
        return RandomMasks(grid=grid, ratio=mask.ratio)
    if isinstance(mask, InverseBlockMask):
        return InverseBlockMasks(grid=grid, rule=block_rule(mask))
    if isinstance(mask, OwnPatchMask):
        return own_patch_masks(trial, mask, grid)
    return BlockMasks(
        grid=grid,
        ratio=mask.ratio,
        min_patches=mask.min_patches,
        max_patches=mask.max_patches,
        min_aspect=mask.min_aspect,
    )


MODALITY = Vision()
