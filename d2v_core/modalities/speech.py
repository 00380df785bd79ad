"""Speech: waveforms through wav2vec 2.0's encoder, spans masked, words recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import numpy as np
import torch

from d2v_core.config.data2vec2 import InverseBlockMask
from d2v_core.config.own_data import OwnAudio
from d2v_core.config.own_masks import OwnFrameMask
from d2v_core.config.random_mask import RandomMask
from d2v_core.config.speech import (
    LEAST_FRAMES,
    LogMelFrontEnd,
    PatchesFrontEnd,
    SpeechEncoderConfig,
    SpeechTrial,
    Wav2Vec2FrontEnd,
)
from d2v_core.config.speech_data import SpeechData
from d2v_core.data.batch import Batches
from d2v_core.data.speech.any_waves import as_waves
from d2v_core.data.speech.dataset import (
    SpeechBatches,
    check_shortest,
    load_speech,
    pad_waves,
    prepared,
    speech_digest,
)
from d2v_core.data.speech.own_audio import check_lengths, load_own_audio
from d2v_core.data.speech.utterances import SpeechDataset
from d2v_core.encoders import log_mel, patches_front_end, wav2vec_front_end
from d2v_core.encoders.front_end import FrontEnd
from d2v_core.encoders.inputs import Inputs, Padded
from d2v_core.encoders.speech import SpeechEncoder
from d2v_core.errors import DataError, refused
from d2v_core.evaluation.labels import label_demand
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.own import own_metrics
from d2v_core.evaluation.pictures import NUM_SAMPLES, wave_picture
from d2v_core.evaluation.speech.evaluate import (
    check_labels,
    ctc_criterion,
    evaluate_speech,
)
from d2v_core.frames import SAMPLE_RATE_HZ, samples_for
from d2v_core.masks.inverse_block import inverse_block_rows
from d2v_core.masks.masked import Masked, MaskSampler
from d2v_core.masks.own import own_frame_masks
from d2v_core.masks.random_rows import random_rows
from d2v_core.masks.spans import span_masks
from d2v_core.modalities.modality import (
    Modality,
    Recover,
    block_rule,
    joined_digest,
    probed_beside,
)
from d2v_core.objectives.parts.criteria import Criterion
from d2v_core.training.parallel import ALONE, Workers

FrameMasks = Callable[[Sequence[int], np.random.Generator], np.ndarray]
"""From the frames of each row to its mask."""
AVERAGE_SECONDS = 12.3
"""LibriSpeech: 960 hours in 281,241 utterances; other data is mostly shorter."""
PICTURE_SECONDS = 3.0
"""Most seconds of an utterance in a picture."""


class Speech(Modality[SpeechTrial, SpeechEncoder, SpeechDataset]):
    """Utterances at 16 kHz."""

    def data_digest(self, trial: SpeechTrial) -> str:
        """Digest of audio and transcripts, of those that are probed on too."""
        return joined_digest(
            lambda data: _digest(data, trial), trial.data, trial.evaluation.data
        )

    def training_digest(self, trial: SpeechTrial) -> str:
        """Digest of what it is trained on."""
        return _digest(trial.data, trial)

    def load_data(self, trial: SpeechTrial) -> SpeechDataset:
        """All splits, at 16 kHz; refuses an evaluation that they cannot serve."""
        least = samples_for(1, trial.speech.front_end.windows)
        if isinstance(trial.data, OwnAudio):
            dataset = load_own_audio(trial, trial.data)
            check_lengths(dataset, least)
        else:
            dataset = load_speech(trial.data, least_samples=least)
        if trial.evaluation.data is not None:
            probed = load_speech(trial.evaluation.data, least_samples=least)
            dataset = probed_beside(dataset, probed)
        labelled = dataset.probed or dataset
        if labelled.labelled:
            check_labels(labelled, trial.evaluation)
        return dataset

    def same_data(self, trial: SpeechTrial) -> str:
        """Whether the data serves the evaluation is found when it is loaded."""
        evaluation = trial.evaluation
        asked = " ".join(
            (
                f"{evaluation.method} {evaluation.utterance_label}",
                f"{evaluation.frame_labels} {label_demand(evaluation)}",
            )
        )
        own = f"{super().same_data(trial)} {asked} {trial.speech.front_end.windows}"
        probed = evaluation.data
        return own if probed is None else f"{own} {probed.model_dump_json()}"

    def build_encoder(self, trial: SpeechTrial) -> SpeechEncoder:
        """Front end, convolutional positions and Transformer."""
        return build_speech_encoder(trial.speech)

    def masks(
        self, trial: SpeechTrial, encoder: SpeechEncoder, workers: Workers = ALONE
    ) -> MaskSampler:
        """Spans of frames, single ones, or blocks of them that are kept."""
        draw = build_frame_masks(trial)

        def sample(inputs: Inputs, generator: np.random.Generator) -> Masked:
            assert isinstance(inputs, Padded)
            frames = encoder.frame_lengths(inputs)
            if min(frames) < LEAST_FRAMES:
                raise DataError(
                    f"an utterance must have {LEAST_FRAMES} frames to be masked, got "
                    f"{min(frames)}; raise waveform.min_seconds or leave it out"
                )
            # Pre-training's rows are equally long, those of other workers too.
            assert workers.count == 1 or len(set(frames)) == 1
            drawn = draw(frames * workers.count, generator)
            return Masked(torch.from_numpy(drawn[workers.rows(len(drawn))]))

        return sample

    def batches(
        self, trial: SpeechTrial, dataset: SpeechDataset, workers: Workers = ALONE
    ) -> Batches:
        """Crops of utterances; a supervised arm reads whole ones with transcripts.

        Raises:
            DataError: Pre-training would read an utterance too short to be masked.
        """
        if trial.objective.reads == "unlabelled":
            least = samples_for(LEAST_FRAMES, trial.speech.front_end.windows)
            check_shortest(dataset, trial.waveform, least)
        return SpeechBatches(
            dataset=dataset,
            batch_size=trial.training.batch_size,
            seed=trial.seed,
            waveform=trial.waveform,
            cropped=trial.objective.reads == "unlabelled",
            workers=workers,
        )

    def criterion(self, trial: SpeechTrial, label_smoothing: float) -> Criterion:
        """CTC, which has no smoothing."""
        return ctc_criterion()

    def example(self, trial: SpeechTrial, num_samples: int) -> Inputs:
        """Silence, as long as LibriSpeech's utterances are on average."""
        seconds = min(AVERAGE_SECONDS, trial.waveform.max_seconds)
        length = round(seconds * SAMPLE_RATE_HZ)
        waves = torch.zeros(num_samples, length)
        return Padded(waves, (length,) * num_samples)

    def evaluate(
        self, trial: SpeechTrial, encoder: SpeechEncoder, dataset: SpeechDataset
    ) -> Evaluation:
        """Recognition and classification."""
        return evaluate_speech(
            encoder,
            dataset,
            trial.evaluation,
            seed=trial.seed,
            waveform=trial.waveform,
            own_metrics=own_metrics(trial, trial.evaluation.metrics),
        )

    def picture(
        self,
        trial: SpeechTrial,
        encoder: SpeechEncoder,
        dataset: SpeechDataset,
        recover: Recover,
    ) -> bytes | None:
        """The beginnings of the first utterances that are long enough to be masked."""
        audio = (dataset.valid if len(dataset.valid) else dataset.pretrain).audio
        least = samples_for(LEAST_FRAMES, trial.speech.front_end.windows)
        usable = np.flatnonzero(audio.lengths >= least)[:NUM_SAMPLES]
        if not len(usable):
            return None
        seconds = min(PICTURE_SECONDS, trial.waveform.max_seconds)
        longest = max(least, round(seconds * SAMPLE_RATE_HZ))
        length = min(longest, int(audio.lengths[usable].min()))
        waves = [audio.read(int(index))[:length] for index in usable]
        shown = pad_waves(waves).values
        recovered = recover(pad_waves([prepared(w, trial.waveform) for w in waves]))
        return wave_picture(shown, recovered)

    def inputs_of(
        self, trial: SpeechTrial, samples: Any, preprocessing: Mapping[str, Any]
    ) -> Inputs:
        """Waveforms, each normalised as in training, padded to the longest."""
        waves = as_waves(samples, SAMPLE_RATE_HZ)
        least = samples_for(1, trial.speech.front_end.windows)
        if (shortest := min(map(len, waves))) < least:
            message = f"must have {least} samples at 16 kHz each, the shortest has"
            raise refused("samples", f"{message} {shortest}")
        return pad_waves([prepared(wave, trial.waveform) for wave in waves])

    def preprocessing(
        self, trial: SpeechTrial, dataset: SpeechDataset
    ) -> Mapping[str, Any]:
        """The sample rate, and whether an utterance has mean 0 and variance 1."""
        return {
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "normalise": trial.waveform.normalise,
        }


def _digest(data: SpeechData, trial: SpeechTrial) -> str:
    if isinstance(data, OwnAudio):
        return load_own_audio(trial, data).digest
    return speech_digest(data)


def build_frame_masks(trial: SpeechTrial) -> FrameMasks:
    """Masks of the configured kind."""
    mask = trial.mask
    if isinstance(mask, InverseBlockMask):
        return partial(inverse_block_rows, rule=block_rule(mask))
    if isinstance(mask, RandomMask):
        return partial(random_rows, ratio=mask.ratio)
    if isinstance(mask, OwnFrameMask):
        return own_frame_masks(trial, mask)
    return partial(
        span_masks,
        probability=mask.probability,
        span=mask.span,
        whole_spans=True,
        same_count=mask.same_count,
    )


def build_speech_encoder(config: SpeechEncoderConfig) -> SpeechEncoder:
    """The encoder, drawing its weights from torch's global generator."""
    return SpeechEncoder(
        front_end=build_front_end(config),
        dim=config.width,
        ffn_dim=round(config.width * config.mlp_ratio),
        **config.model_dump(exclude={"front_end", "width", "mlp_ratio"}),
    )


def build_front_end(config: SpeechEncoderConfig) -> FrontEnd:
    """The front end of the configured kind."""
    front_end = config.front_end
    match front_end:
        case Wav2Vec2FrontEnd():
            return wav2vec_front_end.Wav2Vec2FrontEnd(
                dim=config.width,
                channels=[front_end.channels] * len(front_end.layers),
                windows=front_end.windows,
                norm=front_end.norm,
            )
        case LogMelFrontEnd():
            return log_mel.LogMelFrontEnd(dim=config.width, num_mels=front_end.num_mels)
        case PatchesFrontEnd():
            return patches_front_end.PatchesFrontEnd(
                dim=config.width, patch_samples=front_end.patch_samples
            )
        case _:
            assert_never(front_end)


MODALITY = Speech()
