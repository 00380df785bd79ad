"""Convolution over time of channels-last sequences, (batch, time, channels).

The same function as PyTorch's ``Conv1d`` on (batch, channels, time). The norms between
convolutions work on contiguous channels here, without transposes. On the CPU oneDNN's
channels-last kernels are fast forward and for the input's gradient, but slow for the
weight's, which is therefore made of matrix products, one for each tap of the kernel.
A whole training step takes 0.6 of the floor with torchaudio's forward pass, at 128 and
at 512 channels (``python -m benchmarks.step --modality speech``).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def convolve(
    x: Float[Tensor, "batch time channels"],
    weight: Float[Tensor, "out_channels group_channels kernel"],
    bias: Float[Tensor, " out_channels"] | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Float[Tensor, "batch frames out_channels"]:
    """``conv1d`` with time before channels.

    Args:
        x: Contiguous for speed.
        weight: As ``nn.Conv1d`` holds it.
        bias: Likewise.
        stride: Step of the window.
        padding: Zeros at both ends.
        groups: Groups of channels.
    """
    if weight.shape[1] == 1 and x.shape[2] == 1 and not padding:
        # On one channel, the waveform, a window is a row of a matrix.
        windows = x.squeeze(2).unfold(1, weight.shape[2], stride)
        return F.linear(windows, weight.squeeze(1), bias)
    plain = groups == 1 and not padding and not torch.is_autocast_enabled("cpu")
    if plain and x.device.type == "cpu":
        out: Tensor = _Convolution.apply(x, weight, stride)  # type: ignore[no-untyped-call]
        return out if bias is None else out + bias
    return _forward(x, weight, bias, stride, padding, groups)


class _Convolution(torch.autograd.Function):
    """Without padding, groups and bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _forward(x, weight, None, stride, 0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = None, None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(grad, x, weight, ctx.stride)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(grad, x, weight.shape[2], ctx.stride)
        return grad_x, grad_weight, None


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    groups: int,
) -> Tensor:
    image = F.conv2d(
        _as_image(x),
        _as_kernel(weight),
        bias,
        stride=(1, stride),
        padding=(0, padding),
        groups=groups,
    )
    return image.squeeze(2).mT


def _input_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    gradient: Tensor = torch.ops.aten.convolution_backward(
        _as_image(grad),
        _as_image(x),
        _as_kernel(weight),
        bias_sizes=None,
        stride=[1, stride],
        padding=[0, 0],
        dilation=[1, 1],
        transposed=False,
        output_padding=[0, 0],
        groups=1,
        output_mask=[True, False, False],
    )[0]
    return gradient.squeeze(2).mT


def _weight_gradient(grad: Tensor, x: Tensor, kernel: int, stride: int) -> Tensor:
    num_frames = grad.shape[1]
    taps = grad.new_zeros(kernel, grad.shape[2], x.shape[2])
    for tap, total in enumerate(taps):
        inputs = x[:, tap : tap + (num_frames - 1) * stride + 1 : stride]
        for grad_row, input_row in zip(grad, inputs, strict=True):
            total.addmm_(grad_row.mT, input_row)
    return taps.permute(1, 2, 0)


def _as_image(x: Tensor) -> Tensor:
    """A picture of height 1 whose memory has the channels last, without a copy."""
    return x.mT.unsqueeze(2)


def _as_kernel(weight: Tensor) -> Tensor:
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
