"""Log mel energies as front end: nothing to learn but a projection.

For small scales, where convolutions over the waveform are most of the work. Frames are
where wav2vec 2.0's are: 25 ms every 20 ms, none over the ends.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from d2v_core.encoders.front_end import LinearFrontEnd
from d2v_core.encoders.inputs import real_positions
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.objectives.parts.targets import normalise

WINDOW, STEP = SAMPLE_RATE_HZ * 25 // 1000, SAMPLE_RATE_HZ * 20 // 1000
FLOOR = 1e-6
"""Added to the energies; waveforms have unit variance."""


class LogMelFrontEnd(LinearFrontEnd):
    """Log mel energies, each band normalised over the utterance, and a projection.

    Args:
        dim: Channels of the encoder.
        num_mels: Bands, on Slaney's scale: below 1 kHz each has a frequency bin.
    """

    def __init__(self, *, dim: int, num_mels: int) -> None:
        super().__init__([(WINDOW, STEP)])
        with torch.device("cpu"):  # the filters are computed, also of a meta model
            self.mel = MelSpectrogram(
                SAMPLE_RATE_HZ,
                n_fft=WINDOW,
                hop_length=STEP,
                n_mels=num_mels,
                center=False,
                mel_scale="slaney",
            )
        self.projection = nn.Linear(num_mels, dim)
        self.piece_size = num_mels

    def frames(
        self, waveforms: Float[Tensor, "batch samples"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "batch frames channels"]:
        """Each band with zero mean and unit variance over the real frames."""
        counted = self.frame_lengths(lengths)
        if waveforms.is_meta:  # only shapes count, and there is no transform there
            size = (len(lengths), max(counted), self.projection.in_features)
            return waveforms.new_empty(size)
        with torch.autocast(waveforms.device.type, enabled=False):
            energies = torch.log(self.mel(waveforms).mT + FLOOR)
        real = real_positions(counted, energies.shape[1], energies.device)
        return normalise(energies, "instance", real=real)
