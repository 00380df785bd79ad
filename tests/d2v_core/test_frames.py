import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from d2v_core.config.speech import SpeechEncoderConfig
from d2v_core.frames import frame_centres, num_frames, samples_for
from d2v_core.modalities.speech import build_front_end

WAV2VEC = [(10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2]
windows = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), max_size=4)


def test_wav2vec_frames_see_25_ms_every_20_ms():
    assert num_frames(16_000, WAV2VEC) == 49
    assert num_frames(16_000, [(400, 320)]) == 49
    assert samples_for(1, WAV2VEC) == 400
    assert samples_for(2, WAV2VEC) - samples_for(1, WAV2VEC) == 320


@given(st.integers(1, 300), windows)
def test_frames_are_counted_as_convolutions_make_them(num_samples, layers):
    x = torch.ones(1, 1, num_samples)
    for length, step in layers:
        if x.shape[2] < length:
            x = x[:, :, :0]
            break
        x = F.conv1d(x, torch.ones(1, 1, length), stride=step)
    assert num_frames(num_samples, layers) == x.shape[2]


@given(st.integers(1, 40), windows)
def test_one_sample_less_is_a_frame_less(frames, layers):
    least = samples_for(frames, layers)
    assert num_frames(least, layers) == frames
    assert num_frames(least - 1, layers) == frames - 1


def test_too_short_a_waveform_has_no_frame():
    assert num_frames(399, WAV2VEC) == num_frames(0, WAV2VEC) == 0


def small_front_end(front_end):
    return build_front_end(SpeechEncoderConfig(front_end=front_end, width=16))


FRONT_ENDS = {
    "published": {"kind": "wav2vec2", "channels": 4},
    "smaller": {
        "kind": "wav2vec2",
        "channels": 4,
        "layers": [[10, 5], [8, 8], [8, 8]],
    },
    "patches": {"kind": "patches", "patch_samples": 320},
    "odd patches": {"kind": "patches", "patch_samples": 77},
    "odd": {"kind": "wav2vec2", "channels": 4, "layers": [[9, 5], [3, 2]]},
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_frame_sees_as_far_before_its_centre_as_after_it(name):
    """What the gradient of a frame reaches is what it sees."""
    front_end = small_front_end(FRONT_ENDS[name])
    waveform = torch.randn(1, 4_000, requires_grad=True)
    frames = front_end.frames(waveform, (4_000,))
    centres = frame_centres(frames.shape[1], front_end.windows)
    assert len(centres) == frames.shape[1]
    for i in (0, 1, frames.shape[1] - 1):
        (seen,) = torch.autograd.grad(frames[0, i].sum(), waveform, retain_graph=True)
        (reached,) = torch.nonzero(seen[0], as_tuple=True)
        first, last = int(reached[0]), int(reached[-1])
        assert centres[i] == (first + last + 1) // 2


def test_an_impulse_is_loudest_where_the_centre_of_a_mel_frame_is():
    front_end = small_front_end({"kind": "log_mel", "num_mels": 8})
    centres = frame_centres(10, front_end.windows)
    for i in range(10):
        waveform = torch.zeros(1, 320 * 9 + 400)
        waveform[0, centres[i]] = 1.0
        energies = front_end.mel(waveform).sum(dim=1)[0]
        assert int(energies.argmax()) == i
