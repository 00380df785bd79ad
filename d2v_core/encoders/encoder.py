"""What an encoder of any modality offers to the objectives.

It works in two halves. :meth:`Encoder.embed` makes features of each position on its
own, before any mask: several masks, and a teacher that shares them, can have the same.
:meth:`Encoder.encode` hides or leaves out some, adds positions and runs the blocks.
Positions come in the second half because the published models want it so: speech's are
convolutions over what the mask has left, vision's are added to the mask token too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from d2v_core.config.choices import Feature as Feature
from d2v_core.config.choices import Part as Part
from d2v_core.encoders.inputs import Movable
from d2v_core.encoders.kept import Kept

Restriction = Callable[[Any], AbstractContextManager[object]]
"""Limits the attention of a network like this one while the context is open."""


@dataclass(frozen=True)
class Tokens(Movable):
    """Features of each position on its own.

    Attributes:
        values: Neither masked nor with positions.
        real: True at tokens that are not padding; None when there is no padding.
        places: Rows of a table of positions, where they are not simply counted.
    """

    values: Float[Tensor, "batch tokens dim"]
    real: Bool[Tensor, "batch tokens"] | None = None
    places: Int[Tensor, "batch tokens"] | None = None


@dataclass(frozen=True)
class Collect:
    """Which activations are handed out.

    Attributes:
        top_k: Number of blocks, counted from the last.
        kinds: What is taken from each of them.
    """

    top_k: int
    kinds: tuple[Feature, ...]


@dataclass(frozen=True)
class Encoded:
    """What the blocks make of tokens; with ``keep``, of the kept ones, in their order.

    Attributes:
        tokens: Final ones, without prefix tokens.
        real: True at tokens that mean something: neither padding of the input nor what
            fills up a row that keeps fewer than others; None: all do.
        prefix: Final class token and its like.
        layers: Collected activations without prefix tokens, by kind, the last block's
            at the end.
    """

    tokens: Float[Tensor, "batch tokens dim"]
    real: Bool[Tensor, "batch tokens"] | None
    prefix: Float[Tensor, "batch prefix dim"]
    layers: Mapping[Feature, list[Float[Tensor, "batch tokens dim"]]]


class Encoder(nn.Module):
    """A Transformer that maps inputs to tokens, some of them hidden by a mask.

    Attributes:
        dim: Channels of a token.
        depth: Number of blocks.
        parts: Prefixes of the parameter names of each part.
        fixed: Names of parameters that are never trained, like sine-cosine positions.
        piece_size: Numbers of the input at each position; None: they are learned, or
            are no quantities that could be predicted.
    """

    dim: int
    depth: int
    fixed: frozenset[str] = frozenset()
    piece_size: int | None = None
    parts: ClassVar[Mapping[Part, tuple[str, ...]]] = {}

    @abstractmethod
    def embed(self, inputs: Any) -> Tokens:
        """Features of each position on its own."""

    @abstractmethod
    def encode(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None = None,
        keep: Bool[Tensor, "batch tokens"] | Kept | None = None,
        collect: Collect | None = None,
    ) -> Encoded:
        """Run the blocks.

        Args:
            tokens: Tokens of this encoder's :meth:`embed`, or of one like it.
            mask: True where the mask token stands instead of what is there.
            keep: True at the tokens that run through the blocks, as
                :func:`d2v_core.encoders.kept.kept_tokens` takes them; None: all. To the
                kept ones the others do not exist; prefix tokens are always kept. With
                several choices for each sample, all of them are encoded.
            collect: Activations that are wanted as well.
        """

    def forward(
        self, inputs: Any, mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Final tokens; what stands at padding means nothing.

        Args:
            inputs: Inputs of the modality.
            mask: True where the mask token stands instead.
        """
        return self.encode(self.embed(inputs), mask).tokens

    def real(self, inputs: Any) -> Bool[Tensor, "batch tokens"] | None:
        """True at tokens that are not padding; None when there is no padding."""
        return None

    def local_features(self, inputs: Any) -> Float[Tensor, "rows dim"] | None:
        """Features of each real position on its own, before any attention.

        None where they are not learned from neighbouring input: their rank says nothing
        then.
        """
        return None

    def pieces(self, inputs: Any) -> Float[Tensor, "batch tokens numbers"]:
        """The input of each position, ``piece_size`` numbers of it."""
        raise NotImplementedError(f"{type(self).__name__} has no pieces")

    def restriction(self, share: float | None) -> Restriction:
        """Limits attention to a share of the positions, the nearest ones.

        Args:
            share: Part of the positions, in (0, 1], rounded to at least one; None: all.

        Raises:
            ValueError: The encoder cannot be restricted.
        """
        if share is not None:
            raise ValueError(f"{type(self).__name__} cannot be restricted")
        return lambda network: nullcontext()

    def part_names(self, parts: Iterable[Part]) -> frozenset[str]:
        """Names of the parameters of some parts.

        Raises:
            ValueError: The encoder has no such part.
        """
        shared: set[str] = set()
        for part in parts:
            prefixes = self.parts.get(part, ())
            names = [
                n for n, _ in self.named_parameters() if n.startswith(prefixes or "-")
            ]
            if not names:
                raise ValueError(f"{part} cannot be shared, this encoder has none")
            shared.update(names)
        return frozenset(shared)
