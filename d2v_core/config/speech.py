"""The speech trial: encoder, masks, waveforms and data.

Defaults of ``speech`` and ``mask`` are the published Base model (arXiv 2202.03555v3
section 4.2; fairseq ``examples/data2vec/config/audio/pretraining/base_librispeech``).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt

from d2v_core.config.base import Section
from d2v_core.config.bounds import MAX_DEPTH, MAX_FACTOR, MAX_WIDTH
from d2v_core.config.choices import BlockNorm, ConvolutionNorm, PositionNorm
from d2v_core.config.data2vec2 import InverseBlockMask, check_blocks
from d2v_core.config.objective import HeadInit
from d2v_core.config.own_masks import OwnFrameMask
from d2v_core.config.random_mask import RandomMask
from d2v_core.config.speech_data import (
    SpeechData,
    SpeechEvaluation,
    SpokenDigitsData,
    WaveformConfig,
)
from d2v_core.config.trial import TrialConfig
from d2v_core.errors import Problem
from d2v_core.frames import SAMPLE_RATE_HZ, Window, num_frames, samples_for

LEAST_FRAMES = 2
"""Frames of the shortest input: one to mask and one to see."""

Convolution = Annotated[
    tuple[
        Annotated[StrictInt, Field(ge=1, le=MAX_WIDTH)],
        Annotated[StrictInt, Field(ge=1, le=MAX_WIDTH)],
    ],
    Field(strict=False),
]
"""Kernel and stride."""


class Wav2Vec2FrontEnd(Section):
    """wav2vec 2.0's convolutions over the waveform (torchaudio's implementation)."""

    kind: Literal["wav2vec2"] = "wav2vec2"
    channels: int = Field(512, ge=1, le=MAX_WIDTH)
    """Channels of every convolution."""
    layers: tuple[Convolution, ...] = Field(
        ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)),
        min_length=1,
        max_length=MAX_DEPTH,
        strict=False,
    )
    """Kernel and stride of each convolution; as published, 50 frames per second that
    see 25 ms each."""
    norm: ConvolutionNorm = "layer"
    """``layer``: layer norm after every convolution, as data2vec does; ``group``: one
    norm over time after the first, as wav2vec 2.0 Base does."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """Kernel and stride of each layer."""
        return self.layers


class LogMelFrontEnd(Section):
    """Log mel energies, 50 frames per second of 25 ms each: for small scales.

    Each band has zero mean and unit variance over an utterance.
    """

    kind: Literal["log_mel"] = "log_mel"
    num_mels: int = Field(80, ge=4, le=128)
    """Mel bands."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """25 ms every 20 ms."""
        return ((SAMPLE_RATE_HZ * 25 // 1000, SAMPLE_RATE_HZ * 20 // 1000),)


class PatchesFrontEnd(Section):
    """Pieces of the waveform, side by side, each through one linear layer.

    What patches are for images: nothing but the length of a piece is known of speech.
    What is left at the end of a waveform makes no piece. The waveform has mean 0 and
    variance 1 (``waveform.normalise``), its pieces have not.
    """

    kind: Literal["patches"] = "patches"
    patch_samples: int = Field(320, ge=16, le=MAX_WIDTH)
    """Samples of a piece at 16 kHz: 320 are 20 ms, so 50 frames per second, as many as
    the other front ends give."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """One window, as long as its step."""
        return ((self.patch_samples, self.patch_samples),)


FrontEnd = Annotated[
    Wav2Vec2FrontEnd | LogMelFrontEnd | PatchesFrontEnd, Field(discriminator="kind")
]


class SpeechEncoderConfig(Section):
    """Frames from a front end, convolutional positions, a Transformer."""

    front_end: FrontEnd = Wav2Vec2FrontEnd()
    """The part that makes frames of a waveform."""
    width: int = Field(768, ge=4, le=MAX_WIDTH)
    """Embedding dimension; must be divisible by ``num_heads`` and
    ``position_groups``."""
    depth: int = Field(12, ge=1, le=MAX_DEPTH)
    """Number of blocks."""
    num_heads: int = Field(12, ge=1, le=MAX_WIDTH)
    """Attention heads per block."""
    mlp_ratio: float = Field(4.0, gt=0.0, le=MAX_FACTOR)
    """Hidden width of the feed-forward part over ``width``."""
    norm: BlockNorm = "post"
    """Norms after each residual addition, as published (``layer_norm_first: false``),
    or before each branch."""
    position_layers: int = Field(5, ge=1, le=MAX_DEPTH)
    """Convolutions, one on the other, that tell frames apart."""
    position_kernel: int = Field(19, ge=2, le=MAX_WIDTH)
    """Frames each of them sees: the authors share 95 among the five."""
    position_groups: int = Field(16, ge=1, le=MAX_WIDTH)
    """Groups of channels of each of them."""
    position_norm: PositionNorm = "layer"
    """``layer``: a norm without parameters after each of them, as in data2vec;
    ``none``: as in wav2vec 2.0, which has one of 128 frames (``position_layers`` 1,
    ``position_kernel`` 128)."""
    input_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout of the student's frames, before they are masked (fairseq
    ``dropout_input``)."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout before the first block and after each branch."""
    attention_dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout of the attention weights."""
    activation_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout inside the feed-forward part."""
    layerdrop: float = Field(0.05, ge=0.0, lt=1.0)
    """Chance that a block is skipped in an update."""
    drop_path: float = Field(0.0, ge=0.0, lt=1.0)
    """Stochastic depth of the last block, rising linearly from 0."""


class SpeechSpanMask(Section):
    """Spans of frames that may overlap (paper section 4.2 and appendix C)."""

    kind: Literal["span"] = "span"
    probability: float = Field(0.65, gt=0.0, le=1.0)
    """Masked share if spans did not overlap: each frame starts one with
    ``probability / span``, published 0.065. 0.65 masks 0.49 of long inputs."""
    span: int = Field(10, ge=1, le=MAX_WIDTH)
    """Frames per span."""
    same_count: bool = True
    """Unmask at random down to the utterance of the batch with the fewest masked frames
    (fairseq ``require_same_masks``). That lowers the share on short inputs: 0.49
    becomes 0.39 with 99 frames in batches of 8."""


SpeechMask = Annotated[
    SpeechSpanMask | RandomMask | InverseBlockMask | OwnFrameMask,
    Field(discriminator="kind"),
]


class SpeechTrial(TrialConfig):
    """The configuration of a speech trial.

    Sections that all modalities have keep their defaults, which are vision's.
    """

    reference_head: ClassVar[HeadInit] = "pytorch"
    """fairseq ``data2vec_audio.py`` leaves ``final_proj`` as PyTorch makes it."""

    modality: Literal["speech"] = "speech"
    """Discriminates the trial types."""
    speech: SpeechEncoderConfig = SpeechEncoderConfig()
    """The encoder."""
    mask: SpeechMask = SpeechSpanMask()
    """Frames the student does not see."""
    waveform: WaveformConfig = WaveformConfig()
    """The way from utterances to the encoder's input."""
    data: SpeechData = SpokenDigitsData()
    """Source of speech and transcripts."""
    evaluation: SpeechEvaluation = SpeechEvaluation()
    """The evaluation protocol."""

    def problems(self) -> list[Problem]:
        """Broken rules that span sections."""
        return [
            *super().problems(),
            *_check_positions(self.speech),
            *_check_lengths(self),
            *_check_objective(self),
        ]


def _check_positions(speech: SpeechEncoderConfig) -> list[Problem]:
    if speech.width % speech.position_groups == 0:
        return []
    message = f"must divide speech.width ({speech.width})"
    return [
        Problem("speech.position_groups", f"{message}, got {speech.position_groups}")
    ]


def _check_lengths(trial: SpeechTrial) -> list[Problem]:
    waveform, windows = trial.waveform, trial.speech.front_end.windows
    problems = []
    if waveform.min_seconds > waveform.max_seconds:
        message = f"must be at most waveform.max_seconds ({waveform.max_seconds:g})"
        given = f"{message}, got {waveform.min_seconds:g}"
        problems.append(Problem("waveform.min_seconds", given))
    frames = num_frames(int(waveform.max_seconds * SAMPLE_RATE_HZ), windows)
    if frames < LEAST_FRAMES:
        least = samples_for(LEAST_FRAMES, windows) / SAMPLE_RATE_HZ
        message = f"must give {LEAST_FRAMES} frames ({least:g} s)"
        given = f"{message}, got {waveform.max_seconds:g}"
        problems.append(Problem("waveform.max_seconds", given))
    elif isinstance(trial.mask, SpeechSpanMask) and trial.mask.span >= frames:
        message = f"must be below the {frames} frames of waveform.max_seconds"
        problems.append(Problem("mask.span", f"{message}, got {trial.mask.span}"))
    return problems + check_blocks(trial.mask, max(frames, LEAST_FRAMES), 1)


def _check_objective(trial: SpeechTrial) -> list[Problem]:
    smoothing = getattr(trial.objective, "label_smoothing", 0.0)  # not all have it
    if not smoothing:
        return []
    message = "is for classes; must be 0 for speech, whose criterion is CTC"
    given = f"{message}, got {smoothing:g}"
    return [Problem("objective.label_smoothing", given)]
