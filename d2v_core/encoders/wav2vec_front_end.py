"""wav2vec 2.0's convolutional feature encoder, torchaudio's module run faster.

Paper section 4.2; fairseq ``wav2vec2.py`` ``ConvFeatureExtractionModel``, then layer
norm and projection (``data2vec_audio.py`` 319-347). ``torchaudio.models.wav2vec2``'s
extractor holds the weights, under its own names; :mod:`d2v_core.encoders.
frame_convolution` computes the same function. Departure: the group norm's statistics
leave padding out (fairseq, torchaudio and Hugging Face count it).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.models.wav2vec2.components import (
    FeatureExtractor,
    _get_feature_extractor,
)

from d2v_core.config.choices import ConvolutionNorm
from d2v_core.encoders.frame_convolution import convolve
from d2v_core.encoders.front_end import FrontEnd
from d2v_core.encoders.inputs import real_positions
from d2v_core.frames import Window, num_frames
from d2v_core.objectives.parts.targets import normalise


class Wav2Vec2FrontEnd(FrontEnd):
    """Convolutions, layer norm, linear projection.

    Args:
        dim: Channels of the encoder.
        channels: Channels of each convolution.
        windows: Kernel and stride of each convolution.
        norm: ``layer`` after every convolution, or ``group`` over time after the first.
        bias: Whether convolutions have one; published ones have none.
        eps: Epsilon of the norm before the projection.
    """

    def __init__(
        self,
        *,
        dim: int,
        channels: Sequence[int],
        windows: Sequence[Window],
        norm: ConvolutionNorm = "layer",
        bias: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(windows)
        shapes = [(c, *window) for c, window in zip(channels, windows, strict=True)]
        self.extractor: FeatureExtractor = _get_feature_extractor(
            f"{norm}_norm", shapes, bias
        )
        self.norm = nn.LayerNorm(channels[-1], eps)
        self.projection = nn.Linear(channels[-1], dim)
        for layer in self.extractor.conv_layers:
            nn.init.kaiming_normal_(layer.conv.weight)

    def frames(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """Output of the last convolution, after its norm and GELU."""
        x = waveforms.unsqueeze(2)
        for layer in self.extractor.conv_layers:
            x = convolve(x, layer.conv.weight, layer.conv.bias, stride=layer.stride)
            x = F.gelu(self._normalised(x, layer.layer_norm, lengths))
        return x

    def normed(
        self, frames: Float[Tensor, "batch frames channels"]
    ) -> Float[Tensor, "batch frames channels"]:
        """After layer norm."""
        normed: Tensor = self.norm(frames)
        return normed

    def project(
        self, frames: Float[Tensor, "batch frames channels"]
    ) -> Float[Tensor, "batch frames dim"]:
        """Normalised and projected."""
        projected: Tensor = self.projection(self.normed(frames))
        return projected

    @torch.no_grad()
    def local(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """Output of the convolutions."""
        return self.frames(waveforms, lengths)

    def _normalised(
        self, x: Tensor, norm: nn.Module | None, lengths: tuple[int, ...]
    ) -> Tensor:
        if isinstance(norm, nn.LayerNorm):  # torchaudio's own transposes
            shape, eps = norm.normalized_shape, norm.eps
            return F.layer_norm(x, shape, norm.weight, norm.bias, eps)
        if isinstance(norm, nn.GroupNorm):  # of the first layer, a group per channel
            counted = tuple(num_frames(n, self.windows[:1]) for n in lengths)
            real = real_positions(counted, x.shape[1], x.device)
            return normalise(x, "instance", real=real) * norm.weight + norm.bias
        return x
