"""How many frames a waveform has: windows without padding, one after the other.

Plain numbers, so that configurations, masks and encoders agree without torch.
"""

from __future__ import annotations

from collections.abc import Sequence

SAMPLE_RATE_HZ = 16_000
"""Sample rate of all audio."""
Window = tuple[int, int]
"""Length and step of a window, of the entries of the layer below."""


def num_frames(num_samples: int, windows: Sequence[Window]) -> int:
    """Frames whose windows lie inside the samples; 0 if not even one does.

    Args:
        num_samples: Real samples, padding not counted.
        windows: Windows of the layers, the lowest first.
    """
    count = num_samples
    for length, step in windows:
        count = max(0, (count - length) // step + 1)
    return count


def samples_for(frames: int, windows: Sequence[Window]) -> int:
    """The fewest samples that give so many frames; with 1, what a frame sees."""
    count = frames
    for length, step in reversed(windows):
        count = (count - 1) * step + length
    return count


def frame_centres(count: int, windows: Sequence[Window]) -> range:
    """The sample in the middle of what each of ``count`` frames sees.

    Of an even number of samples, the one after the middle.

    Args:
        count: Frames.
        windows: Windows of the layers, the lowest first.
    """
    seen = samples_for(1, windows)
    step = samples_for(2, windows) - seen
    return range(seen // 2, seen // 2 + count * step, step)
