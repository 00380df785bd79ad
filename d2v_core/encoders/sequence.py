"""Encoders of sequences: an embedding, then the common Transformer."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import nullcontext

from jaxtyping import Bool, Float
from torch import Tensor

from d2v_core.encoders.encoder import Collect, Encoded, Encoder, Restriction, Tokens
from d2v_core.encoders.kept import Kept, kept_tokens
from d2v_core.encoders.transformer import Transformer


class SequenceEncoder(Encoder):
    """What speech and text have in common.

    Args:
        transformer: Its blocks.
        dim: Channels.
    """

    def __init__(self, transformer: Transformer, dim: int) -> None:
        super().__init__()
        self.transformer = transformer
        self.dim, self.depth = dim, len(transformer.blocks)

    @abstractmethod
    def placed(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None,
        keep: Kept | None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """All tokens with positions, in which nothing of what is left out shows.

        Args:
            tokens: Features.
            mask: True where the mask token stands instead.
            keep: What is not left out; None: all.
        """

    def encode(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None = None,
        keep: Bool[Tensor, "batch tokens"] | Kept | None = None,
        collect: Collect | None = None,
    ) -> Encoded:
        """Run the blocks; :meth:`Encoder.encode` explains the arguments."""
        kept = None if keep is None else kept_tokens(keep)
        x, real = self.placed(tokens, mask, kept), tokens.real
        attend = self.transformer.attention_mask(tokens.values, real)
        if kept is not None:
            x, real = kept.pick(x), kept.real
            attend = None if attend is None else kept.pick_pairs(attend)
            if real is not None:
                of_keys = real[:, None, None, :]
                attend = of_keys if attend is None else attend & of_keys
        x, layers = self.transformer(x, attend, collect)
        return Encoded(tokens=x, real=real, prefix=x[:, :0], layers=layers)

    def restriction(self, share: float | None) -> Restriction:
        """Limits attention to the nearest positions of the sequence."""
        if share is None:
            return lambda network: nullcontext()
        return lambda network: network.transformer.restricted(share)
