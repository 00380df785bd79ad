"""What every front end of the speech encoder has: frames, a norm, a projection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from d2v_core.errors import DataError
from d2v_core.frames import SAMPLE_RATE_HZ, Window, num_frames, samples_for


class FrontEnd(nn.Module):
    """Waveforms to frames of the encoder's width.

    Args:
        windows: Length and step of each layer's window.

    Attributes:
        windows: Likewise.
        projection: From frames to the encoder's width.
        piece_size: Channels of :meth:`frames` where nothing of them is learned; else
            None.
    """

    projection: nn.Linear
    piece_size: int | None = None

    def __init__(self, windows: Sequence[Window]) -> None:
        super().__init__()
        self.windows = tuple(windows)

    @abstractmethod
    def frames(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """Frames before norm and projection; real ones see real samples only.

        Args:
            waveforms: At 16 kHz, padded at the end.
            lengths: Real samples of each.
        """

    def normed(
        self, frames: Float[Tensor, "batch frames channels"]
    ) -> Float[Tensor, "batch frames channels"]:
        """Frames as the projection reads them."""
        return frames

    @abstractmethod
    def project(
        self, frames: Float[Tensor, "batch frames channels"]
    ) -> Float[Tensor, "batch frames dim"]:
        """Frames in the encoder's width."""

    @abstractmethod
    def local(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """The learned frames whose rank shows whether the front end is alive."""

    def forward(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames dim"]:
        """Projected frames.

        Raises:
            DataError: A waveform is too short for one frame.
        """
        self.frame_lengths(lengths)
        return self.project(self.frames(waveforms[:, : max(lengths)], lengths))

    def frame_lengths(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        """Frames of each waveform.

        Raises:
            DataError: A waveform is too short for one frame.
        """
        counted = tuple(num_frames(length, self.windows) for length in lengths)
        if min(counted) < 1:
            least = samples_for(1, self.windows)
            raise DataError(
                f"an utterance must have {least} samples ({least / SAMPLE_RATE_HZ:g} "
                f"s) to make a frame, got {min(lengths)}; leave it out"
            )
        return counted


class LinearFrontEnd(FrontEnd):
    """Fixed frames of ``piece_size`` numbers, of which only a linear map is learned."""

    projection: nn.Linear

    def project(
        self, frames: Float[Tensor, "batch frames channels"]
    ) -> Float[Tensor, "batch frames dim"]:
        """A linear map."""
        projected: Tensor = self.projection(frames)
        return projected

    @torch.no_grad()
    def local(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """Projected frames: only the projection is learned."""
        return self.project(self.frames(waveforms, lengths))
