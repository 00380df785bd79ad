"""Speech data, waveforms and their evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from d2v_core.config.base import Section, UnlabelledData, execution_field
from d2v_core.config.bounds import (
    MAX_BATCH,
    MAX_ITEMS,
    MAX_RATE_HZ,
    MAX_SAMPLES,
    MAX_SECONDS,
    MAX_STEPS,
    MAX_WIDTH,
    Factor,
)
from d2v_core.config.choices import OnError as OnError
from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.config.memory import MemoryData
from d2v_core.config.objective import Duration
from d2v_core.config.own_data import OwnAudio
from d2v_core.config.training import EvaluationConfig
from d2v_core.errors import Problem
from d2v_core.training.schedules import Decay

LibriSpeechSubset = Literal[
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
]
"""A folder of LibriSpeech."""


class WaveformConfig(Section):
    """The way from utterances to the encoder's input (paper section 4.2), at 16 kHz."""

    max_seconds: float = Field(20.0, gt=0.0, le=MAX_SECONDS)
    """Pre-training crops utterances to at most this (fairseq: 320,000 samples), and a
    batch to its shortest utterance. Labelled utterances are never cropped."""
    min_seconds: float = Field(2.0, ge=0.0, le=MAX_SECONDS)
    """Pre-training leaves out shorter utterances (fairseq: 32,000 samples), unless all
    are shorter."""
    normalise: bool = True
    """Give each whole utterance zero mean and unit variance, before it is cropped."""


class SpokenDigitsData(Section):
    """Strings of English digits from a formant synthesiser; nothing to download."""

    source: Literal["spoken_digits"] = "spoken_digits"
    content: Literal["strings", "single"] = "strings"
    """``strings`` of several digits, or ``single`` digits: these can be classified as
    whole utterances (``evaluation.utterance_label: digit``)."""
    min_digits: int = Field(2, ge=1, le=20)
    """Fewest digits of a string."""
    max_digits: int = Field(5, ge=1, le=20)
    """Most digits of a string."""
    num_train: int = Field(2_000, ge=10, le=MAX_SAMPLES)
    """Training utterances, by 24 speakers."""
    num_valid: int = Field(200, ge=10, le=MAX_SAMPLES)
    """Validation utterances, by 6 other speakers."""
    num_test: int = Field(400, ge=10, le=MAX_SAMPLES)
    """Test utterances, by 12 other speakers."""

    @model_validator(mode="after")
    def _check_digits(self) -> SpokenDigitsData:
        if self.max_digits < self.min_digits:
            message = f"must be at least min_digits ({self.min_digits})"
            problem = Problem("data.max_digits", f"{message}, got {self.max_digits}")
            raise PydanticCustomError(
                "across_sections", "digits", {"problems": [problem]}
            )
        return self


class ManifestData(Section):
    """wav or flac files listed in fairseq manifests ``<split>.tsv``.

    The first line of a manifest is the folder of the audio relative to the manifest,
    every other ``path<TAB>num_samples``. Beside it ``<split>.wrd`` (words) or
    ``<split>.ltr`` (letters) hold transcripts line by line, ``<split>.labels.tsv``
    (with a header) one column per kind of label. Other rates are resampled to 16 kHz.
    """

    source: Literal["manifest"] = "manifest"
    folder: str = ""
    """Folder below the data root; the names of splits are relative to it."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    pretrain: str | None = None
    """Split that pre-training reads, labels or not, like ``librispeech/train``; null:
    ``train``."""
    train: str = "train"
    """Labelled split that the evaluation fits on and the supervised arm learns."""
    valid: str = "valid"
    """Split that everything is selected on."""
    test: str = "test"
    """Split whose number is reported."""
    sample_rate_hz: int | None = Field(None, ge=1, le=MAX_RATE_HZ)
    """Rate every file must have; null: whatever each says."""
    on_error: OnError = "raise"
    """Treatment of broken files."""


class AudioFolderData(UnlabelledData):
    """Any folder of wav, flac or ogg files, flat or nested, of any rate, unlabelled.

    Some files, chosen by a hash of their path, are held out: RankMe is theirs.
    """

    source: Literal["audio_folder"] = "audio_folder"
    folder: str = execution_field("")
    """The folder, whole or below the data root; empty: the root itself."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    held_out_fraction: float = Field(0.1, gt=0.0, lt=1.0)
    """Share of the files that is held out; of small sets more, up to half."""
    piece_seconds: float = Field(20.0, ge=0.1, le=MAX_SECONDS)
    """Longer files are read as several equal pieces of at most this."""
    on_error: OnError = "raise"
    """Treatment of broken files."""


class LibriSpeechData(Section):
    """LibriSpeech as torchaudio lays it out, ``LibriSpeech/<subset>``."""

    source: Literal["librispeech"] = "librispeech"
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    download: bool = execution_field(False)
    """Let torchaudio fetch what is missing."""
    pretrain: tuple[LibriSpeechSubset, ...] = Field(
        ("train-clean-100", "train-clean-360", "train-other-500"),
        min_length=1,
        max_length=MAX_ITEMS,
        strict=False,
    )
    """Subsets that pre-training reads (paper: all 960 hours)."""
    train: tuple[LibriSpeechSubset, ...] = Field(
        ("train-clean-100",), min_length=1, max_length=MAX_ITEMS, strict=False
    )
    """Labelled subsets; ``evaluation.num_labels`` draws utterances from them."""
    valid: LibriSpeechSubset = "dev-other"
    """Subset that everything is selected on."""
    test: LibriSpeechSubset = "test-other"
    """Subset whose number is reported."""
    on_error: OnError = "raise"
    """Treatment of broken files."""


class SpeechCommandsData(Section):
    """Speech Commands as torchaudio lays it out, with its official splits.

    Its utterances have the labels ``word`` and ``speaker``; the word is the transcript.
    """

    source: Literal["speech_commands"] = "speech_commands"
    version: Literal["v0.01", "v0.02"] = "v0.02"
    """Version of the data set."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``)."""
    download: bool = execution_field(False)
    """Let torchaudio fetch what is missing."""
    on_error: OnError = "raise"
    """Treatment of broken files."""


SpeechData = Annotated[
    SpokenDigitsData
    | ManifestData
    | AudioFolderData
    | LibriSpeechData
    | SpeechCommandsData
    | OwnAudio
    | MemoryData,
    Field(discriminator="source"),
]
LabelledSpeechData = Annotated[
    SpokenDigitsData | ManifestData | LibriSpeechData | SpeechCommandsData,
    Field(discriminator="source"),
]


class CtcProbeConfig(Section):
    """A linear CTC layer on frozen, standardised features; Adam, cosine decay."""

    num_steps: int = Field(500, ge=1, le=MAX_STEPS)
    """Updates."""
    batch_size: int = Field(32, ge=1, le=MAX_BATCH)
    """Labelled utterances per update."""
    learning_rates: tuple[Factor, ...] = Field(
        (1e-2, 3e-2, 1e-1, 3e-1), min_length=1, max_length=MAX_ITEMS, strict=False
    )
    """Peak learning rates; the one with the lowest validation word error rate is used
    and stored, the lowest character error rate where words tie."""
    max_label_draws: int = Field(4, ge=1, le=100)
    """Draws the layer is fitted on where ``evaluation.num_label_draws`` asks for more:
    it costs far more than the other probes."""


class SpeechFineTuning(FineTuningConfig):
    """The whole encoder with a linear CTC layer.

    Defaults: fairseq ``examples/wav2vec/config/finetuning/base_10h.yaml``, but for the
    number of utterances in a batch, which is fairseq's 3.2 M samples on 8 workers.
    """

    num_steps: int = Field(20_000, ge=1, le=MAX_STEPS)
    """Optimiser updates."""
    batch_size: int = Field(126, ge=1, le=MAX_BATCH)
    """Labelled utterances per update: 8 workers of 200 s, at 12.7 s each
    (train-clean-100)."""
    learning_rates: tuple[Factor, ...] = Field(
        (5e-5,), min_length=1, max_length=MAX_ITEMS, strict=False
    )
    """Peak learning rates to choose from on the validation split."""
    decay: Decay = "tri_stage"
    """Shape after the warm-up."""
    hold: Duration = 0.4
    """Updates or fraction at the peak, for ``tri_stage`` only."""
    final_scale: float = Field(0.05, ge=0.0, le=1.0)
    """Last learning rate over the peak."""
    freeze: Duration = 0.5
    """Updates or fraction during which only the head is trained."""
    beta2: float = Field(0.98, ge=0.0, lt=1.0)
    """Second-moment decay."""
    freeze_features: bool = True
    """Keep the convolutions as pre-trained (fairseq ``feature_grad_mult: 0``); their
    norm and projection are trained."""
    time_mask: float = Field(0.65, ge=0.0, lt=1.0)
    """Masked share of the frames if spans did not overlap; 0: none."""
    time_mask_length: int = Field(10, ge=1, le=MAX_WIDTH)
    """Frames per span."""
    channel_mask: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the feature encoder's channels set to zero if spans did not overlap; 0:
    none."""
    channel_mask_length: int = Field(64, ge=1, le=MAX_WIDTH)
    """Neighbouring channels per span."""


class SpeechEvaluation(EvaluationConfig):
    """Recognition by CTC, and classification of utterances and of frames."""

    data: LabelledSpeechData | None = None
    """Labelled speech the encoder is evaluated on; null: what it was trained on.
    Without labels in either there is RankMe alone."""
    method: Literal["probe", "fine_tune", "none"] = "probe"
    """Recognition of transcribed data: by a CTC layer on frozen features, or by
    fine-tuning the whole encoder, as in the paper; ``none``: utterances are only
    classified."""
    ctc_probe: CtcProbeConfig = CtcProbeConfig()
    """Settings of ``probe``."""
    fine_tuning: SpeechFineTuning = SpeechFineTuning()
    """Settings of ``fine_tune``."""
    beam_width: int = Field(8, ge=1, le=MAX_WIDTH)
    """Prefixes kept by the beam search, which uses no language model."""
    utterance_label: str | None = None
    """Kind of label that whole utterances are classified by, from their mean frame:
    ``digit``, ``speaker`` ...; null: they are not."""
    frame_labels: Literal["where_known", "required", "none"] = "where_known"
    """Linear probes that tell the phone and the word of a frame: where the data knows
    when each is said, as the synthesised digits do; ``required`` refuses other data."""
    max_frames: int = Field(2_000, ge=10, le=MAX_SAMPLES)
    """Frames of each draw's ``num_labels`` utterances that those probes are fitted on,
    drawn with the trial's seed; neighbouring ones are much alike."""

    @model_validator(mode="after")
    def _check_something_is_measured(self) -> SpeechEvaluation:
        measured = self.utterance_label or self.frame_labels == "required"
        if self.method == "none" and not measured:
            message = (
                "must name a kind of label where evaluation.method is none, got None"
            )
            problem = Problem("evaluation.utterance_label", message)
            raise PydanticCustomError(
                "across_sections", "nothing measured", {"problems": [problem]}
            )
        return self
