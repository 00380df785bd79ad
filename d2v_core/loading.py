"""A kept encoder, opened to be used: samples in, features out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from d2v_core.config import TrialConfig, parse_trial
from d2v_core.config.choices import Network
from d2v_core.data.speech.any_waves import as_waves
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import mean_over_real
from d2v_core.errors import ConfigError, Problem
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.kept_files import BrokenEncoderError
from d2v_core.modalities import modality_of
from d2v_core.trained import read_trained

BATCH_SIZE = 64


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder with all it takes to use it.

    Attributes:
        encoder: In evaluation mode; tokens of a batch are ``encoder(inputs)``.
        trial: What it was trained with.
        preprocessing: What is done to samples before it reads them.
        step: Updates it was trained for.
    """

    encoder: Encoder
    trial: TrialConfig
    preprocessing: Mapping[str, Any]
    step: int

    @torch.no_grad()
    def features(
        self,
        samples: Any,
        batch_size: int = BATCH_SIZE,
        sample_rate: int = SAMPLE_RATE_HZ,
    ) -> np.ndarray:
        """One vector per sample: the mean of its tokens, as the linear probe sees it.

        Args:
            samples: A list, an array or a tensor. Of vision: images of any size, cut
                and resized as in training; uint8, or floats between 0 and 1. Of
                speech: waveforms, each of its own length. Of text: strings.
            batch_size: Samples that are read together.
            sample_rate: Sample rate of waveforms, in Hz; they are brought to 16 kHz.

        Returns:
            float32 of shape (samples, dim).

        Raises:
            ConfigError: The samples are of another kind or shape.
        """
        modality = modality_of(self.trial)
        device = next(self.encoder.parameters()).device
        parts = [np.zeros((0, self.encoder.dim), np.float32)]
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            if sample_rate != SAMPLE_RATE_HZ:
                batch = as_waves(batch, sample_rate)
            inputs = modality.inputs_of(self.trial, batch, self.preprocessing)
            moved = inputs.to(device)
            tokens = self.encoder(moved)
            mean = mean_over_real(tokens, self.encoder.real(moved))
            parts.append(mean.float().cpu().numpy())
        return np.concatenate(parts)


def load_encoder(folder: Path | str, network: Network = "student") -> LoadedEncoder:
    """Open a kept encoder, ``encoders/<training key>`` of a storage folder.

    Args:
        folder: Holds ``encoder.json`` and the weights.
        network: Student or teacher; where there is no teacher, the only one there is.

    Raises:
        ConfigError: There is none, it is broken, or from another version.
    """
    place = Path(folder)
    try:
        trained = read_trained(place)
        trial = parse_trial(trained.trial)
        encoder = trained.encoder(trial, network)
    except FileNotFoundError:
        message = "no encoder is kept there (a folder with encoder.json)"
        raise ConfigError([Problem(str(place), message)]) from None
    except BrokenEncoderError as error:
        raise ConfigError([Problem(str(place), str(error))]) from None
    return LoadedEncoder(encoder, trial, trained.preprocessing, trained.step)
