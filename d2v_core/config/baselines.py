"""Settings of the objectives that data2vec is compared with; defaults are the authors'.

The networks of each are in the file of :mod:`d2v_core.objectives` named like its kind,
where its paper is named too.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from d2v_core.config.base import ObjectiveSection, Section
from d2v_core.config.bounds import (
    MAX_DEPTH,
    MAX_FACTOR,
    MAX_VOCABULARY,
    MAX_WIDTH,
    Duration,
)

TRAINED = frozenset({"optimizer", "training", "health"})
"""Sections that all of them use."""
OF_MASKS = TRAINED | {"mask", "augmentation"}
OF_IMAGES = TRAINED | {"augmentation"}


class TokensObjective(ObjectiveSection):
    """Masked language model: BERT's loss as RoBERTa trains it, masks drawn anew.

    The loss is at every selected position, those that show a random or their own token
    too; the mask is the trial's (BERT: kind ``bert``, 0.15, 0.8, 0.1).
    """

    kind: Literal["tokens"] = "tokens"
    uses: ClassVar[frozenset[str]] = OF_MASKS
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})


class LinearDecoder(Section):
    """SimMIM: mask tokens run through the encoder, one linear layer reads them."""

    kind: Literal["linear"] = "linear"


class TransformerDecoder(Section):
    """MAE: only visible tokens run through the encoder, a light Transformer follows."""

    kind: Literal["transformer"] = "transformer"
    width: int | None = Field(None, ge=4, le=MAX_WIDTH)
    """Channels; must be divisible by ``num_heads``, and by 4 for images. null: two
    thirds of the encoder's in steps of 32, which for ViT-B is the published 512."""
    depth: int | None = Field(None, ge=1, le=MAX_DEPTH)
    """Blocks; null: two thirds of the encoder's, for ViT-B the published 8."""
    num_heads: int | None = Field(None, ge=1, le=MAX_WIDTH)
    """Attention heads per block; null: one for 32 channels, the published 16 of 512."""


class PixelsObjective(ObjectiveSection):
    """Masked input regression: MAE (the defaults) or SimMIM.

    The mask is the trial's: MAE masks 0.75 at random, SimMIM 0.6 of pieces of 32
    pixels. SimMIM is ``decoder.kind`` linear, ``distance`` absolute,
    ``piece_norm`` none.
    """

    kind: Literal["pixels"] = "pixels"
    uses: ClassVar[frozenset[str]] = OF_MASKS
    modalities: ClassVar[frozenset[str]] = frozenset({"vision", "speech"})
    decoder: Annotated[
        LinearDecoder | TransformerDecoder, Field(discriminator="kind")
    ] = TransformerDecoder()
    """The part that turns tokens into numbers of the input."""
    piece_norm: Literal["own", "none"] = "own"
    """``own``: each patch (or frame) is predicted with mean 0 and variance 1 of its own
    (MAE ``norm_pix_loss``, the better of its two); ``none``: as the encoder reads
    it."""
    distance: Literal["squared", "absolute"] = "squared"
    """Distance of each number: MAE squared, SimMIM absolute."""


class ContrastiveObjective(ObjectiveSection):
    """wav2vec 2.0: tell the quantised frame from others of the same utterance.

    Defaults are those of Base (arXiv 2006.11477 section 4.2; fairseq
    ``wav2vec2_base_librispeech.yaml``).
    """

    kind: Literal["contrastive"] = "contrastive"
    uses: ClassVar[frozenset[str]] = OF_MASKS
    modalities: ClassVar[frozenset[str]] = frozenset({"speech"})
    num_groups: int = Field(2, ge=1, le=64)
    """Code books, G."""
    num_codes: int = Field(320, ge=2, le=MAX_VOCABULARY)
    """Entries of each, V."""
    code_width: int = Field(256, ge=1, le=MAX_WIDTH)
    """Channels of a quantised frame, all groups together; divisible by
    ``num_groups``."""
    width: int = Field(256, ge=1, le=MAX_WIDTH)
    """Channels in which both sides are compared (``final_dim``)."""
    num_distractors: int = Field(100, ge=1, le=10_000)
    """Wrong answers K, drawn with replacement among the other masked frames."""
    logit_temperature: float = Field(0.1, gt=0.0, le=MAX_FACTOR)
    """Divides the cosine similarities."""
    start_temperature: float = Field(2.0, gt=0.0, le=MAX_FACTOR)
    """Temperature of the Gumbel softmax at the first update."""
    end_temperature: float = Field(0.5, gt=0.0, le=MAX_FACTOR)
    """Its least, from ``anneal`` on."""
    anneal: Duration = 0.69315
    """Updates, or fraction of the run, of the geometric way between the two: 277,259
    of the published 400,000, which is a factor of 0.999995 per update."""
    diversity_weight: float = Field(0.1, ge=0.0, le=MAX_FACTOR)
    """Weight alpha of the diversity loss, the unused share of the code book."""
    penalty_weight: float = Field(10.0, ge=0.0, le=MAX_FACTOR)
    """Weight of the mean square of the convolutions' output; fixed features (log mel)
    have none."""
    feature_gradient: float = Field(0.1, ge=0.0, le=1.0)
    """Factor of the gradient that reaches the convolutions (``feature_grad_mult``)."""
    feature_dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout of what the quantiser reads (``dropout_features``)."""
    min_code_perplexity: float = Field(2.0, ge=0.0, le=MAX_VOCABULARY)
    """Code books are collapsed when the perplexity of the codes in use, the mean over
    groups, is below this: 1 is a single code. Ours, not the authors'."""


class RotationObjective(ObjectiveSection):
    """Say by how many quarter turns an image was rotated."""

    kind: Literal["rotation"] = "rotation"
    uses: ClassVar[frozenset[str]] = OF_IMAGES
    modalities: ClassVar[frozenset[str]] = frozenset({"vision"})
    views: Literal["all", "one"] = "all"
    """``all``: every image comes in its four rotations, as published (four times the
    work of an update); ``one``: in one, drawn at random."""


class ContextObjective(ObjectiveSection):
    """Say where, of eight places around it, a patch lies beside another one."""

    kind: Literal["context"] = "context"
    uses: ClassVar[frozenset[str]] = OF_IMAGES
    modalities: ClassVar[frozenset[str]] = frozenset({"vision"})
    side: float = Field(0.25, gt=0.0, lt=1.0)
    """Side of the patches over the image's, cut to whole patches of the encoder, at
    least one; three of them and two gaps must fit."""
    gap: float = Field(0.5, ge=0.0, le=MAX_FACTOR)
    """Pixels between two patches over their side: 48 of 96."""
    jitter: float = Field(0.073, ge=0.0, le=1.0)
    """Largest shift of the second patch over its side, rounded: 7 pixels of 96."""
    colours: Literal["drop", "keep"] = "drop"
    """``drop``: each patch keeps one colour channel, against chromatic aberration;
    grey images have nothing to drop."""


class JigsawObjective(ObjectiveSection):
    """Say in which of a set of orders the nine tiles of an image were put."""

    kind: Literal["jigsaw"] = "jigsaw"
    uses: ClassVar[frozenset[str]] = OF_IMAGES
    modalities: ClassVar[frozenset[str]] = frozenset({"vision"})
    num_permutations: int = Field(1_000, ge=2, le=10_000)
    """Orders in the set, each as far from the others (Hamming) as possible."""


Baseline = (
    TokensObjective
    | PixelsObjective
    | ContrastiveObjective
    | RotationObjective
    | ContextObjective
    | JigsawObjective
)
"""The objectives of this file."""
