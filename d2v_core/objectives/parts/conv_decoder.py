"""The light convolutional decoder of data2vec 2.0, over a sequence or a grid.

arXiv 2212.07525; fairseq ``examples/data2vec/models/modalities/modules.py`` 123-229,
``Decoder1d`` and ``Decoder2d``: convolution, layer norm without parameters, GELU, and
the input added where it has as many channels; at the end a projection to the encoder's
width. Everything is drawn as PyTorch draws it, as there. Departures: padding is zero
before each convolution, so that it changes nothing, and the projection is computed only
where a prediction is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class ConvDecoder(nn.Module):
    """Predictions from encoded tokens and the noise between them.

    Args:
        dim: Channels of the encoder, and of a prediction.
        width: Channels of the convolutions.
        depth: Number of convolutions.
        kernel: Positions each sees along a side; of an even number one more lies before
            the position.
        groups: Groups of channels; must divide ``dim`` and ``width``.
        residual: Whether inputs are added to outputs of as many channels.
        projection_depth: Linear layers at the end, the hidden ones twice ``width``.
        input_dropout: Dropout of the encoder's tokens; the noise has none.
        grid: Rows and columns of the patches; None: a sequence.
    """

    def __init__(
        self,
        *,
        dim: int,
        width: int,
        depth: int,
        kernel: int,
        groups: int = 1,
        residual: bool = True,
        projection_depth: int = 1,
        input_dropout: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.grid, self.residual = grid, residual
        layer = nn.Conv1d if grid is None else nn.Conv2d
        self.layers = nn.ModuleList(
            layer(dim if i == 0 else width, width, kernel, groups=groups)
            for i in range(depth)
        )
        hidden = 2 * width
        widths = [width, *[hidden] * (projection_depth - 1), dim]
        projection: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            projection += [nn.Linear(before, after), nn.GELU()]
        self.projection = nn.Sequential(*projection[:-1])
        self.input_dropout = nn.Dropout(input_dropout)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        positions: Int[Tensor, " masked"],
        real: Bool[Tensor, "batch tokens"] | None = None,
    ) -> Float[Tensor, "masked dim"]:
        """Predictions at ``positions`` of the flattened batch.

        Args:
            tokens: Encoded ones, and noise where the student saw nothing.
            positions: Where predictions are wanted.
            real: False at padding; None when there is none.
        """
        places = tokens.shape[1:2] if self.grid is None else self.grid
        x = tokens.reshape(len(tokens), *places, -1)
        real = None if real is None else real.reshape(len(tokens), *places)
        for layer in self.layers:
            if real is not None:
                x = x.masked_fill(~real.unsqueeze(-1), 0.0)
            y = convolve(x, layer)
            y = F.gelu(F.layer_norm(y, y.shape[-1:]))
            x = y + x if self.residual and x.shape[-1] == y.shape[-1] else y
        at = x.reshape(-1, x.shape[-1]).index_select(0, positions)
        predictions: Tensor = self.projection(at)
        return predictions


def convolve(
    x: Float[Tensor, "batch *places channels"], layer: nn.Module
) -> Float[Tensor, "batch *places out_channels"]:
    """A convolution over all places, with zeros beyond the edges.

    Memory stays channels last, so that norms and residuals need no transposes; on the
    CPU this is also the faster kernel.

    Args:
        x: One or two axes of places.
        layer: ``nn.Conv1d`` or ``nn.Conv2d`` without padding of its own.
    """
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    places = x.shape[1:-1]
    weight, image = layer.weight, x.movedim(-1, 1)
    kernel: Sequence[int] = layer.kernel_size
    if len(places) == 1:  # a picture of height 1: only those have channels-last kernels
        weight, image, kernel = weight.unsqueeze(2), image.unsqueeze(2), (1, *kernel)
    y = F.conv2d(
        image,
        weight.contiguous(memory_format=torch.channels_last),
        layer.bias,
        padding=(kernel[0] // 2, kernel[1] // 2),
        groups=layer.groups,
    )
    height, width = image.shape[2:]
    y = y.movedim(1, -1)[:, :height, :width]  # an even kernel gives one place too many
    return y.squeeze(1) if len(places) == 1 else y
