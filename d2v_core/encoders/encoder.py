"""What an encoder of any modality offers to the learners."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from d2v_core.config.choices import Feature as Feature
from d2v_core.config.choices import Part as Part
from d2v_core.encoders.inputs import Inputs

Restriction = Callable[[Any], AbstractContextManager[object]]
"""Limits the attention of a network like this one while the context is open."""


class Encoder(nn.Module):
    """A Transformer that maps inputs to tokens, some of them hidden by a mask.

    Attributes:
        dim: Channels of a token.
        depth: Number of blocks.
        parts: Prefixes of the parameter names of each part.
        fixed: Names of parameters that are never trained, like sine-cosine positions.
    """

    dim: int
    depth: int
    fixed: frozenset[str] = frozenset()
    parts: ClassVar[Mapping[Part, tuple[str, ...]]] = {}

    @abstractmethod
    def forward(
        self, inputs: Any, mask: Tensor | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Final tokens, with the mask token where ``mask`` is true.

        Args:
            inputs: Of the modality, or what :meth:`features` made of them.
            mask: True where the student must not see the input.
        """

    @abstractmethod
    def top_layers(
        self, inputs: Any, *, feature: Feature, top_k: int
    ) -> list[Float[Tensor, "batch tokens dim"]]:
        """Activations of the top ``top_k`` blocks for the unmasked input."""

    def features(self, inputs: Inputs) -> Inputs:
        """What the feature encoder makes, where it is worth computing only once."""
        return inputs

    def real(self, inputs: Any) -> Bool[Tensor, "batch tokens"] | None:
        """True at tokens that are not padding; None when there is no padding."""
        return None

    def local_features(self, inputs: Any) -> Float[Tensor, "rows dim"] | None:
        """Features of each real position on its own, before any attention.

        None where they are not learned from neighbouring input: their rank says nothing
        then.
        """
        return None

    def restriction(self, share: float | None) -> Restriction:
        """Limits attention to a share of the positions, the nearest ones.

        Args:
            share: Part of the positions, in (0, 1], rounded to at least one; None: all.
        """
        assert share is None, f"{type(self).__name__} cannot be restricted"
        return lambda network: nullcontext()

    def part_names(self, parts: Iterable[Part]) -> frozenset[str]:
        """Names of the parameters of some parts.

        Raises:
            ValueError: The encoder has no such part.
        """
        found: set[str] = set()
        for part in parts:
            prefixes = self.parts.get(part, ())
            names = [
                n for n, _ in self.named_parameters() if n.startswith(prefixes or "-")
            ]
            if not names:
                raise ValueError(f"{part} cannot be shared, this encoder has none")
            found.update(names)
        return frozenset(found)

    def masked_tokens(
        self,
        inputs: Any,
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
    ) -> Float[Tensor, "masked dim"]:
        """Final tokens at the masked positions; encoders may compute only those.

        Args:
            inputs: As in :meth:`forward`.
            mask: True where the mask token is; on the CPU or the inputs' device.
            positions: Where ``mask.flatten()`` is true, on the inputs' device.
        """
        tokens: Tensor = self(inputs, mask.to(inputs.device))
        return tokens.flatten(0, 1)[positions]

    def masked_top_layers(
        self,
        inputs: Any,
        mask: Bool[Tensor, "batch tokens"],
        positions: Int[Tensor, " masked"],
        *,
        feature: Feature,
        top_k: int,
    ) -> list[Float[Tensor, "masked dim"]]:
        """:meth:`top_layers` at the masked positions; the input stays unmasked."""
        layers = self.top_layers(inputs, feature=feature, top_k=top_k)
        return [layer.flatten(0, 1)[positions] for layer in layers]
