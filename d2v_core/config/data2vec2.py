"""Settings that data2vec 2.0 brings: its masks, its decoder and the objective.

arXiv 2212.07525; fairseq ``examples/data2vec/models/data2vec2.py``,
``models/modalities/{base,modules}.py`` and ``config/v2``. Defaults are the released
ViT-B configuration (``base_images_only_task.yaml``) unless a field says otherwise.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from d2v_core.config.base import ObjectiveSection, Section
from d2v_core.config.bounds import MAX_DEPTH, MAX_FACTOR, MAX_WIDTH
from d2v_core.errors import Problem


class InverseBlockMask(Section):
    """Blocks that are kept, and all else hidden; the same share in every sample.

    Blocks are squares of patches, or runs of frames or tokens. As many of them are
    placed at random as would keep ``1 - ratio + adjust`` if none overlapped, then
    single positions are added or taken away at random until ``1 - ratio`` are kept.
    """

    kind: Literal["inverse_block"] = "inverse_block"
    ratio: float = Field(0.8, gt=0.0, lt=1.0)
    """R, the share that is hidden; the kept rest is rounded down to whole positions, at
    least one. Published: 0.8 ViT-B, 0.75 ViT-L and H, 0.5 and 0.55 speech, 0.42 text
    (0.48 in the released text configuration)."""
    block: int = Field(3, ge=1, le=MAX_WIDTH)
    """B, the side of a block. Published: 3 for images, 5 for speech, 1 for text."""
    adjust: float = Field(0.07, ge=-1.0, le=1.0)
    """A, added to the kept share when blocks are counted, as they overlap. Published:
    0.07 ViT-B, 0.1 ViT-L and H, 0.05 and 0.1 speech, 0 text."""
    blocks: Literal["kept", "hidden"] = "kept"
    """Whether the blocks are what is kept, or, as the released speech configuration
    says (``inverse_mask: false``), what is hidden; then ``adjust`` adds to that."""

    @property
    def blocks_share(self) -> float:
        """The share of positions that blocks are counted for, before they overlap."""
        chosen = self.ratio if self.blocks == "hidden" else 1.0 - self.ratio
        return chosen + self.adjust


def check_blocks(mask: object, positions: int, sides: int) -> list[Problem]:
    """Refuse blocks of which none is ever drawn.

    The reference code rounds their number down; where that gives none it hides single
    positions at random, so that two such sizes of block are one and the same mask.

    Args:
        mask: Any mask; others than inverse blocks have no problem.
        positions: The most that a sample has.
        sides: 2 where blocks are squares, 1 where they are runs.
    """
    if not isinstance(mask, InverseBlockMask) or mask.block == 1:
        return []
    room = max(0.0, positions * mask.blocks_share)
    largest = int((room + 1e-9) ** (1.0 / sides) + 1e-9)
    if mask.block <= largest:
        return []
    power = f"{mask.block}^{sides}" if sides > 1 else str(mask.block)
    return [
        Problem(
            "mask.block",
            f"must be at most {max(1, largest)}, or no block is ever drawn "
            f"({positions} positions x {mask.blocks_share:.3g} / {power} is below 1); "
            f"smaller blocks or more positions help, got {mask.block}",
        )
    ]


class DecoderConfig(Section):
    """Convolutions over all positions, and a projection back to the encoder's width.

    Each is followed by a layer norm without parameters and GELU. Images have square
    kernels.
    """

    width: int = Field(768, ge=1, le=MAX_WIDTH)
    """Channels (published: 768 ViT-B and text, 384 speech Base)."""
    depth: int = Field(6, ge=1, le=MAX_DEPTH)
    """Convolutions (published: 6 ViT-B, 4 speech, 5 text)."""
    kernel: int = Field(3, ge=1, le=MAX_WIDTH)
    """Positions that each sees along a side (published: 3, speech 7, text 9)."""
    groups: int = Field(16, ge=1, le=MAX_WIDTH)
    """Groups of channels (published: 16, text 1); must divide this width and the
    encoder's."""
    residual: bool = True
    """Whether a convolution's input is added to its output, where both have as many
    channels (text: no)."""
    projection_depth: int = Field(1, ge=1, le=4)
    """Linear layers at the end; above 1 the first doubles the channels, GELU between
    (released text configuration: 2)."""
    input_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout of the encoder's tokens (released speech and text configurations:
    0.1)."""


class Data2Vec2Objective(ObjectiveSection):
    """data2vec 2.0: several masks share a teacher pass, the student sees what is left.

    The loss is that of the trial (published: L2 with the sum over channels divided by
    their root, text with the sum alone), the target too (published: ``ffn``, instance
    norm, for images then layer norm).
    """

    kind: Literal["data2vec2"] = "data2vec2"
    uses: ClassVar[frozenset[str]] = frozenset(
        {
            "mask",
            "target",
            "teacher",
            "loss",
            "health",
            "augmentation",
            "optimizer",
            "training",
        }
    )
    num_masks: int = Field(8, ge=1, le=1_024)
    """M, the masks per sample and update (published: 16 images, 8 speech and text)."""
    noise_std: float = Field(0.01, ge=0.0, le=MAX_FACTOR)
    """Standard deviation of what stands at hidden positions before the decoder."""
    class_token_weight: float = Field(0.01, ge=0.0, le=MAX_FACTOR)
    """Weight of the class token's loss, the distance of the encoder's class token from
    the mean target of the image, averaged over images and masks; without effect where
    the encoder has none (released image configuration: ``cls_loss`` 0.01)."""
    decoder: DecoderConfig = DecoderConfig()
    """What predicts targets from the student's tokens and the noise."""
