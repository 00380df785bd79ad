"""Waveforms in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2v_core.api.samples import Given, content_digest
from d2v_core.config.speech import SpeechTrial
from d2v_core.data.inventory import Inventory
from d2v_core.data.speech.utterances import ArrayAudio, SpeechDataset, Utterances
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.sizing import AudioFacts, SizedFor, settings_for


@dataclass(frozen=True)
class GivenWaves(Given):
    """Waveforms at 16 kHz, each of its own length.

    Attributes:
        waves: float32 in [-1, 1], of one dimension each.
        sized_for: The machine a recipe is to suit.
    """

    waves: Sequence[np.ndarray]
    sized_for: SizedFor

    @property
    def settings(self) -> Mapping[str, Any]:
        """A recipe for recordings of this length."""
        seconds = float(np.median([len(wave) for wave in self.waves])) / SAMPLE_RATE_HZ
        return settings_for(AudioFacts(len(self.waves), seconds), self.sized_for)

    @property
    def digest(self) -> str:
        """Digest of all samples."""
        return content_digest(wave.tobytes() for wave in self.waves)

    def dataset(self, trial: SpeechTrial) -> SpeechDataset:
        """Utterances without transcripts."""
        lengths = np.array([len(wave) for wave in self.waves], np.int64)
        audio = ArrayAudio(np.concatenate(list(self.waves)), lengths)
        split = Utterances(audio, texts=None, labels={})
        return SpeechDataset(
            name="waveforms in memory",
            digest=self.digest,
            classes=(),
            pretrain=split,
            train=split,
            valid=split,
            test=split,
            inventory=Inventory("utterances", {"train": len(split)}),
        )
