"""torchaudio's extractor, plain NumPy and a convolution are the oracles."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from d2v_core.encoders.inputs import Padded
from d2v_core.encoders.log_mel import LogMelFrontEnd
from d2v_core.encoders.patches_front_end import PatchesFrontEnd
from d2v_core.encoders.wav2vec_front_end import Wav2Vec2FrontEnd
from d2v_core.errors import DataError
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_speech import noise

WAV2VEC = [(10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2]


def wav2vec(norm="layer", channels=24, **options):
    front_end = Wav2Vec2FrontEnd(
        dim=16, channels=[channels] * 7, windows=WAV2VEC, norm=norm, **options
    )
    fill_with_noise(front_end)
    return front_end


def distance(found, expected):
    """The largest difference over the largest value."""
    with torch.no_grad():
        return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_outputs_and_gradients_are_torchaudios(norm, bias):
    front_end = wav2vec(norm, bias=bias)
    waves = noise([3_000, 3_000])
    ours = front_end.frames(waves.values, waves.lengths)
    theirs, lengths = front_end.extractor(waves.values, torch.tensor(waves.lengths))
    assert front_end.frame_lengths(waves.lengths) == tuple(lengths.tolist())
    assert distance(ours, theirs) < 7e-6
    parameters = list(front_end.extractor.parameters())
    sent_back = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(ours, parameters, sent_back)
    expected = torch.autograd.grad(theirs, parameters, sent_back)
    largest = max(float(reference.abs().max()) for reference in expected)
    for gradient, reference in zip(found, expected, strict=True):
        assert float((gradient - reference).abs().max()) < 1e-5 * largest


def test_at_full_width_outputs_are_torchaudios_to_seven_millionths():
    torch.manual_seed(0)
    front_end = Wav2Vec2FrontEnd(dim=16, channels=[512] * 7, windows=WAV2VEC)
    waves = noise([2_000])
    with torch.no_grad():
        ours = front_end.frames(waves.values, waves.lengths)
        theirs, _ = front_end.extractor(waves.values, None)
    assert distance(ours, theirs) < 7e-6


def test_the_layers_are_those_asked_for():
    layer, group = wav2vec("layer"), wav2vec("group")
    norms = [type(c.layer_norm).__name__ for c in layer.extractor.conv_layers]
    assert norms == ["LayerNorm"] * 7
    norms = [type(c.layer_norm).__name__ for c in group.extractor.conv_layers]
    assert norms == ["GroupNorm", *["NoneType"] * 6]
    assert all(c.conv.bias is None for c in layer.extractor.conv_layers)


@pytest.mark.parametrize("padding", [0.0, 50.0])
@pytest.mark.parametrize("kind", ["layer", "group", "log_mel", "patches"])
def test_padding_changes_no_real_frame(kind, padding):
    front_end = {
        "log_mel": lambda: LogMelFrontEnd(dim=16, num_mels=10),
        "patches": lambda: PatchesFrontEnd(dim=16, patch_samples=77),
    }.get(kind, lambda: wav2vec(kind))()
    fill_with_noise(front_end)
    waves = noise([3_000, 1_234, 2_000], padding=padding)
    together = front_end(waves.values, waves.lengths)
    frames = front_end.frame_lengths(waves.lengths)
    for i, length in enumerate(waves.lengths):
        alone = front_end(waves.values[i : i + 1, :length], (length,))
        assert frames[i] == alone.shape[1]
        torch.testing.assert_close(
            together[i, : frames[i]], alone[0], atol=2e-5, rtol=1e-5
        )


def test_what_stands_behind_the_longest_waveform_makes_no_frame():
    front_end = wav2vec()
    waves = noise([2_000, 1_500])
    longer = torch.nn.functional.pad(waves.values, (0, 999), value=3.0)
    torch.testing.assert_close(
        front_end(longer, waves.lengths), front_end(waves.values, waves.lengths)
    )


def test_log_mel_frames_are_a_plain_spectrogram():
    front_end = LogMelFrontEnd(dim=16, num_mels=10)
    waves = noise([2_000])
    found = front_end.frames(waves.values, waves.lengths)[0].numpy()
    wave = waves.values[0].double().numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    filters = front_end.mel.mel_scale.fb.double().numpy()
    rows = []
    for start in range(0, len(wave) - 400 + 1, 320):
        power = np.abs(np.fft.rfft(wave[start : start + 400] * window)) ** 2
        rows.append(np.log(power @ filters + 1e-6))
    log_mel = np.stack(rows)
    centred = log_mel - log_mel.mean(axis=0)
    expected = centred / np.sqrt((centred**2).mean(axis=0) + 1e-5)
    assert found.shape == (6, 10)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_every_mel_band_has_a_frequency():
    for num_mels in (4, 40, 80, 128):
        filters = LogMelFrontEnd(dim=4, num_mels=num_mels).mel.mel_scale.fb
        assert (filters.max(dim=0).values > 0).all()


def test_patches_are_a_linear_map_of_each_piece():
    front_end = PatchesFrontEnd(dim=16, patch_samples=300)
    fill_with_noise(front_end)
    waves = noise([1_000, 650])
    found = front_end(waves.values, waves.lengths).detach().numpy()
    weight = front_end.projection.weight.detach().numpy()
    bias = front_end.projection.bias.detach().numpy()
    assert front_end.frame_lengths(waves.lengths) == (3, 2)
    assert found.shape == (2, 3, 16)
    for row, count in enumerate((3, 2)):
        wave = waves.values[row].numpy()
        for i in range(count):  # the 100 and 50 samples at the ends make no piece
            piece = wave[300 * i : 300 * (i + 1)]
            np.testing.assert_allclose(
                found[row, i], weight @ piece + bias, rtol=1e-4, atol=1e-4
            )


def test_patches_of_images_and_of_waveforms_are_the_same_map():
    """A convolution as long as its stride, which is what timm's patch embedding is."""
    front_end = PatchesFrontEnd(dim=16, patch_samples=320)
    waves = noise([1_700])
    kernel = front_end.projection.weight[:, None]
    convolved = F.conv1d(
        waves.values[:, None], kernel, front_end.projection.bias, stride=320
    )
    torch.testing.assert_close(
        front_end(waves.values, waves.lengths), convolved.mT, atol=1e-5, rtol=1e-4
    )


def test_a_waveform_without_a_patch_is_refused():
    front_end = PatchesFrontEnd(dim=4, patch_samples=320)
    with pytest.raises(DataError, match=r"320 samples \(0.02 s\) .* got 319; leave"):
        front_end(torch.zeros(1, 319), (319,))


def test_a_waveform_without_a_frame_is_refused():
    waves = Padded(torch.zeros(2, 900), (900, 399))
    with pytest.raises(DataError, match=r"400 samples \(0.025 s\) .* got 399; leave"):
        wav2vec()(waves.values, waves.lengths)
