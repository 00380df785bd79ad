import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from d2v_core.frames import num_frames, samples_for

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
