"""The vision trial: encoder, masks, augmentation and data."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from d2v_core.config.base import Section, UnlabelledData, execution_field
from d2v_core.config.bounds import (
    MAX_FACTOR,
    MAX_SIDE,
    MAX_WIDTH,
)
from d2v_core.config.choices import OnError as OnError
from d2v_core.config.choices import Pooling, Protocol
from d2v_core.config.data2vec2 import InverseBlockMask, check_blocks
from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.config.memory import MemoryData
from d2v_core.config.objective import HeadInit
from d2v_core.config.own import (
    OwnFunction,
    OwnSettings,
    TakesOwn,
    reference_in,
)
from d2v_core.config.own_masks import OwnPatchMask
from d2v_core.config.random_mask import RandomMask as RandomMask
from d2v_core.config.training import EvaluationConfig
from d2v_core.config.trial import TrialConfig
from d2v_core.config.vision_encoder import VisionEncoderConfig as VisionEncoderConfig
from d2v_core.config.vision_encoder import check_encoder
from d2v_core.errors import Problem, shown


class BlockMask(Section):
    """BEiT's block-wise masks (paper section 4.1)."""

    kind: Literal["block"] = "block"
    ratio: float = Field(0.612, gt=0.0, lt=1.0)
    """Share of patches to mask, rounded to whole patches: 0.612 is the authors' 120 of
    196. It is a ceiling: the count varies per image (mean 0.610 at 0.612)."""
    min_patches: int = Field(16, ge=1, le=MAX_WIDTH)
    """Smallest block area in patches."""
    max_patches: int | None = Field(None, ge=1, le=MAX_WIDTH)
    """Largest block area in patches; null: only what is still to mask."""
    min_aspect: float = Field(0.3, gt=0.0, le=1.0)
    """Smallest height over width of a block; the largest is its inverse."""


VisionMask = Annotated[
    BlockMask | RandomMask | InverseBlockMask | OwnPatchMask,
    Field(discriminator="kind"),
]


class AugmentationConfig(Section):
    """Random changes of the training images; teacher and student see the same view."""

    kind: (
        Literal["none", "shift", "resized_crop"]
        | Annotated[OwnFunction, TakesOwn("augmentation", "settings")]
    ) = "none"
    """``shift`` moves by whole pixels (edges repeated), ``resized_crop`` is the
    standard random resized crop. Flips and jitter follow the user's own too."""
    settings: OwnSettings = {}
    """Keyword arguments of your own ``kind``."""
    max_shift: int = Field(1, ge=1, le=MAX_SIDE)
    """Largest shift in pixels along each side, for ``shift``."""
    min_scale: float = Field(0.08, gt=0.0, le=1.0)
    """Smallest share of the area kept, for ``resized_crop``."""
    horizontal_flip: bool = False
    """Mirror each image with probability one half."""
    color_jitter: float = Field(0.0, ge=0.0, le=1.0)
    """Largest relative change of brightness, contrast and saturation."""


class DigitsData(Section):
    """1,797 handwritten digits of 8 x 8 pixels, shipped inside scikit-learn."""

    source: Literal["digits"] = "digits"


class FolderData(Section):
    """Image folders ``<split>/<class>/<image>`` with at least train and test."""

    source: Literal["image_folder"] = "image_folder"
    folder: str = ""
    """Folder below the data root that holds the splits; empty: the root itself."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    validation_fraction: float = Field(0.1, gt=0.0, lt=1.0)
    """Share of the training images set aside, class-balanced, when there is no
    ``valid`` or ``val`` folder."""
    on_error: OnError = "raise"
    """Whether files that do not decode are refused or left out; never a whole class."""


class ImagesData(UnlabelledData):
    """Any folder of images, flat or nested, without labels.

    Some images, chosen by a hash of their path, are held out: RankMe is theirs.
    """

    source: Literal["images"] = "images"
    folder: str = execution_field("")
    """The folder, whole or below the data root; empty: the root itself."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    held_out_fraction: float = Field(0.1, gt=0.0, lt=1.0)
    """Share of the images that is held out; of small sets more, up to half."""
    on_error: OnError = "raise"
    """Whether files that do not decode are refused or left out."""


class TorchvisionData(Section):
    """CIFAR-10, CIFAR-100 or ImageNet as torchvision lays them out below the root."""

    source: Literal["cifar10", "cifar100", "imagenet"]
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    download: bool = execution_field(False)
    """Let torchvision fetch CIFAR when it is missing."""
    validation_fraction: float = Field(0.1, gt=0.0, lt=1.0)
    """Share of the training images set aside, class-balanced. ImageNet's own validation
    split is the test split, as in the paper."""
    on_error: OnError = "raise"
    """Whether ImageNet's files that do not decode are refused or left out. CIFAR comes
    in files with checksums: torchvision refuses a broken one as a whole."""


class OwnImages(Section):
    """Images in memory that the user's own function gives."""

    source: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("data source", "settings")]
    """Gives the splits: ``own.py:function``. What it gives is identity, by its digest,
    and must be the same at every call."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``), which the function is given."""


VisionData = Annotated[
    DigitsData | FolderData | ImagesData | TorchvisionData | OwnImages | MemoryData,
    Field(discriminator="source"),
]
LabelledVisionData = Annotated[
    DigitsData | FolderData | TorchvisionData, Field(discriminator="source")
]


class VisionFineTuning(FineTuningConfig):
    """Fine-tuning on labelled images (paper section 5.1, BEiT's recipe).

    Mean of the patch tokens, a new layer norm and a new linear classifier; images are
    changed at random as in pre-training. The labels are the probe's (``num_labels``).
    """

    label_smoothing: float = Field(0.1, ge=0.0, lt=1.0)
    """Share of the probability spread over all classes (parser default of the released
    ``run_class_finetuning.py``)."""
    drop_path: float | None = Field(None, ge=0.0, lt=1.0)
    """Stochastic depth of the last block, rising linearly from 0; null: as in
    pre-training. The released ViT-B command: 0.2."""
    head_init_scale: float = Field(0.001, gt=0.0, le=MAX_FACTOR)
    """Multiplies the classifier's initial weights (std 0.02 before), so that the first
    gradients hardly reach the encoder."""


class VisionEvaluation(EvaluationConfig):
    """Probe and k-NN on frozen features of images, and fine-tuning when asked for."""

    data: LabelledVisionData | None = None
    """Labelled images the encoder is probed and fine-tuned on; null: those it was
    trained on. Without labels in either there is RankMe alone."""
    pooling: Pooling = "mean"
    """The way from the final norm's tokens to one vector; ``mean``, ``concatenate`` use
    the patch tokens."""
    fine_tuning: VisionFineTuning | None = None
    """Fine-tune a copy of the encoder too; null: no. The paper's numbers are of
    fine-tuned encoders, which costs much more than the probe."""
    protocol: Protocol = "linear"
    """The score that ``eval/accuracy`` repeats, for a table whose arms differ in it;
    ``fine_tuned`` needs ``fine_tuning``."""


class VisionTrial(TrialConfig):
    """The configuration of a vision trial."""

    reference_head: ClassVar[HeadInit] = "beit"
    """``data2vec_vision`` ``lm_head`` (``modeling_cyclical.py`` ``_init_weights``)."""

    modality: Literal["vision"] = "vision"
    """Discriminates the trial types."""
    vision: VisionEncoderConfig = VisionEncoderConfig()
    """The encoder."""
    mask: VisionMask = BlockMask()
    """Patches the student does not see."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of the training images."""
    data: VisionData = TorchvisionData(source="imagenet")
    """Source of images and labels."""
    evaluation: VisionEvaluation = VisionEvaluation()
    """The evaluation protocol."""

    def problems(self) -> list[Problem]:
        """Broken rules that span sections."""
        return [
            *super().problems(),
            *check_encoder(self.vision),
            *_check_pooling(self.evaluation),
            *_check_protocol(self.evaluation),
            *_check_augmentation(self.augmentation),
            *_check_blocks(self),
        ]


def _check_protocol(evaluation: VisionEvaluation) -> list[Problem]:
    if evaluation.protocol != "fine_tuned" or evaluation.fine_tuning is not None:
        return []
    message = "must be given where evaluation.protocol is fine_tuned, got null"
    return [Problem("evaluation.fine_tuning", message)]


def _check_augmentation(augmentation: AugmentationConfig) -> list[Problem]:
    if not augmentation.settings or reference_in(augmentation.kind):
        return []
    message = "is for a kind of your own; must be empty for"
    given = f"{augmentation.kind}, got {shown(augmentation.settings)}"
    return [Problem("augmentation.settings", f"{message} {given}")]


def _check_blocks(trial: VisionTrial) -> list[Problem]:
    vision = trial.vision
    if vision.patch_size is None:  # timm's own, in the name of the model
        return []
    return check_blocks(trial.mask, (vision.image_size // vision.patch_size) ** 2, 2)


def _check_pooling(evaluation: VisionEvaluation) -> list[Problem]:
    if evaluation.num_layers == 1 or evaluation.pooling != "class_token":
        return []
    message = "must be 1 with evaluation.pooling class_token, got"
    return [Problem("evaluation.num_layers", f"{message} {evaluation.num_layers}")]
