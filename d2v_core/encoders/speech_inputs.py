"""What the blocks of the speech encoder read: frames of features."""

from __future__ import annotations

from dataclasses import dataclass

from d2v_core.encoders.inputs import Padded


@dataclass(frozen=True)
class SpeechFeatures(Padded):
    """What the feature encoder made of waveforms, (batch, frames, dim).

    A type of its own, so that an encoder that is handed it runs no convolution.
    """
