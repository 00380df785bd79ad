"""Pieces of the waveform as front end: what patches are for images.

A linear layer on each of the non-overlapping pieces of a waveform, and nothing else: no
filters that were made for hearing, no convolutions. No published recipe of data2vec has
it; images are read like this (paper section 4.1).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from d2v_core.encoders.front_end import LinearFrontEnd


class PatchesFrontEnd(LinearFrontEnd):
    """Pieces of a waveform, side by side, and a projection.

    Args:
        dim: Channels of the encoder.
        patch_samples: Samples of a piece, at least 1; a rest at the end is left out.
    """

    def __init__(self, *, dim: int, patch_samples: int) -> None:
        super().__init__([(patch_samples, patch_samples)])
        self.projection = nn.Linear(patch_samples, dim)
        self.piece_size = patch_samples

    def frames(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """The pieces as they are."""
        size = self.projection.in_features
        return waveforms.unfold(1, size, size)
