"""PyTorch's own ``conv1d`` is the oracle, outputs and gradients."""

import pytest
import torch
from torch.nn import functional as F

from d2v_core.encoders.frame_convolution import convolve

SETTINGS = {
    "three taps, stride two": (13, 6, 8, 3, {"stride": 2}),
    "two taps, stride two": (12, 6, 8, 2, {"stride": 2}),
    "more stride than taps": (17, 6, 8, 2, {"stride": 3}),
    "one frame": (3, 6, 8, 3, {"stride": 2}),
    "the waveform": (101, 1, 8, 10, {"stride": 5}),
    "grouped with padding": (9, 8, 8, 5, {"padding": 2, "groups": 4}),
    "padding": (9, 6, 8, 4, {"padding": 2}),
}


def tensors(time, channels, out, kernel, options):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, time, channels, generator=generator)
    inner = channels // options.get("groups", 1)
    weight = torch.randn(out, inner, kernel, generator=generator)
    bias = torch.randn(out, generator=generator)
    return [tensor.requires_grad_() for tensor in (x, weight, bias)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_it_is_conv1d_and_so_are_its_gradients(setting, bias):
    *_, options = setting
    inputs = tensors(*setting)[: 3 if bias else 2]
    ours = convolve(*inputs, **options)
    theirs = F.conv1d(inputs[0].mT, *inputs[1:], **options).mT
    torch.testing.assert_close(ours, theirs, atol=7e-6, rtol=0)
    sent_back = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(ours, inputs, sent_back)
    expected = torch.autograd.grad(theirs, inputs, sent_back)
    for gradient, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, reference, atol=2e-5, rtol=1e-5)


def test_numerical_gradients_agree():
    inputs = [t.double().detach().requires_grad_() for t in tensors(7, 2, 3, 3, {})[:2]]
    assert torch.autograd.gradcheck(lambda *a: convolve(*a, stride=2), inputs)


def test_only_the_gradients_asked_for_are_computed():
    x, weight, _ = tensors(13, 6, 8, 3, {})
    (found,) = torch.autograd.grad(convolve(x, weight.detach()).sum(), [x])
    assert found.shape == x.shape
    (found,) = torch.autograd.grad(convolve(x.detach(), weight).sum(), [weight])
    assert found.shape == weight.shape


def test_frames_come_with_contiguous_channels():
    x, weight, _ = tensors(13, 6, 8, 3, {})
    assert convolve(x, weight, stride=2).is_contiguous()


def test_it_trains_under_mixed_precision():
    x, weight, _ = tensors(13, 6, 8, 3, {})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = convolve(x, weight, stride=2)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    assert weight.grad.dtype == torch.float32
    exact = F.conv1d(x.mT, weight, stride=2).mT
    torch.testing.assert_close(found.float(), exact, atol=0.1, rtol=0.05)
