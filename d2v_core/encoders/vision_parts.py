"""The parts of a timm Vision Transformer that come before any attention.

The paper's *feature encoder* is the patch embedding here, its *positional encoder* the
table of absolute positions (section 3.2). The class token is no position, and tables of
relative positions belong to the attention.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from d2v_core.encoders.timm_vision import VisionEncoder

Part = Literal["patch_embedding", "positions"]

PREFIXES: dict[Part, str] = {
    "patch_embedding": "vit.patch_embed.",
    "positions": "vit.pos_embed",
}


def parameter_names(encoder: VisionEncoder, parts: Iterable[Part]) -> frozenset[str]:
    """Names of the parameters of some parts.

    Raises:
        ValueError: The encoder has no such part.
    """
    found: set[str] = set()
    for part in parts:
        names = [
            n for n, _ in encoder.named_parameters() if n.startswith(PREFIXES[part])
        ]
        if not names:
            raise ValueError(
                f"{part} are shared where there are absolute ones, this model has none"
            )
        found.update(names)
    return frozenset(found)


def local_features(
    encoder: VisionEncoder, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "rows dim"]:
    """The patch embedding of every patch of the batch, without positions."""
    patches: Tensor = encoder.vit.patch_embed(images)
    return patches.reshape(-1, patches.shape[-1])
