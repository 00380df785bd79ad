"""data2vec's convolutional positions for speech.

Five grouped convolutions, one on the other, each followed by a layer norm without
parameters and GELU (fairseq ``wav2vec2.py`` ``make_conv_pos`` with ``pos_conv_depth``;
no weight norm). Without the layer norm one of them is wav2vec 2.0's, but for its weight
norm, which changes training and not what can be computed. Departure: padding is zero
before each of them, so that it changes nothing; fairseq and Hugging Face zero it before
the first only, and the frames before an utterance's end depend on whether it was
padded.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.choices import PositionNorm
from d2v_core.encoders.frame_convolution import convolve


class ConvPositions(nn.Module):
    """What is added to each frame, from its neighbours.

    Args:
        dim: Channels.
        num_layers: Convolutions.
        kernel: Frames each sees; of an even number one more lies before the frame.
        groups: Groups of channels; must divide ``dim``.
        norm: ``layer`` before each GELU, as in data2vec, or ``none``.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_layers: int,
        kernel: int,
        groups: int,
        norm: PositionNorm = "layer",
    ) -> None:
        super().__init__()
        self.norm = norm
        self.layers = nn.ModuleList(
            nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups)
            for _ in range(num_layers)
        )

    def forward(
        self,
        frames: Float[Tensor, "batch frames dim"],
        real: Bool[Tensor, "batch frames"] | None = None,
    ) -> Float[Tensor, "batch frames dim"]:
        """Positions of frames; what stands at padding means nothing."""
        x = frames
        for conv in self.layers:
            assert isinstance(conv, nn.Conv1d)
            y = convolve(
                zero_padding(x, real),
                conv.weight,
                conv.bias,
                padding=conv.kernel_size[0] // 2,
                groups=conv.groups,
            )
            y = y[:, : x.shape[1]]  # an even kernel gives one frame too many
            x = F.gelu(F.layer_norm(y, y.shape[2:]) if self.norm == "layer" else y)
        return x


def zero_padding(
    frames: Float[Tensor, "batch frames dim"],
    real: Bool[Tensor, "batch frames"] | None,
) -> Float[Tensor, "batch frames dim"]:
    """Zeros where a row is padding."""
    return frames if real is None else frames.masked_fill(~real.unsqueeze(2), 0.0)
