"""Settings of the optimiser, the evaluation protocol and the execution."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from d2v_core.config.base import Section, execution_field
from d2v_core.config.bounds import (
    MAX_BATCH,
    MAX_DEPTH,
    MAX_FACTOR,
    MAX_ITEMS,
    MAX_LEARNING_RATE,
    MAX_PROCESSES,
    MAX_SAMPLES,
    MAX_SECONDS,
    MAX_STEPS,
    Factor,
)
from d2v_core.config.choices import Network
from d2v_core.config.objective import Duration
from d2v_core.config.own import OwnFunction, OwnSettings, TakesOwn
from d2v_core.training.schedules import Decay

Precision = Literal["float32", "bfloat16"]


class OptimizerConfig(Section):
    """Optimiser and learning-rate schedule (paper section 4.1 for ViT-B)."""

    algorithm: (
        Literal["adamw"] | Annotated[OwnFunction, TakesOwn("optimiser", "settings")]
    ) = "adamw"
    """AdamW, or the user's own function that makes an optimiser, which is given
    ``learning_rate``, ``weight_decay`` and ``settings`` and nothing else of these."""
    settings: OwnSettings = {}
    """Keyword arguments of your own ``algorithm``; there must be none for AdamW."""

    learning_rate: float = Field(2e-3, gt=0.0, le=MAX_LEARNING_RATE)
    """Peak learning rate."""
    warmup: Duration = 10 / 800
    """Linear warm-up from 0: updates or fraction of the run. The released command warms
    up for 10 of 800 epochs; the paper says 40."""
    decay: Decay | Annotated[OwnFunction, TakesOwn("learning-rate decay")] = "cosine"
    """Shape after the warm-up, down to ``final_learning_rate``. ``tri_stage`` (paper
    sections 4.2, 4.3: speech and text) holds the peak for ``hold``, then falls by the
    same factor at every update. Your own function says how much of the way down from
    the peak is left, by the share of the decay that is over."""
    hold: Duration = 0
    """Updates or fraction of the run at the peak, for ``tri_stage`` only: 0.9 for
    speech (warm-up 0.03, decay the last 0.07), 0.8 for text (0.05 and 0.15)."""
    final_learning_rate: float = Field(1e-5, ge=0.0, le=MAX_FACTOR)
    """Learning rate at the last update. fairseq's ``tri_stage`` ends at 1 % of the
    peak, which is 5e-6 for speech."""
    weight_decay: float = Field(0.05, ge=0.0, le=MAX_FACTOR)
    """Decoupled weight decay of matrices; vectors (biases, norms, layer scale) and
    tokens have none."""
    beta1: float = Field(0.9, ge=0.0, lt=1.0)
    """First-moment decay."""
    beta2: float = Field(0.999, ge=0.0, lt=1.0)
    """Second-moment decay."""
    epsilon: float = Field(1e-8, gt=0.0, le=MAX_FACTOR)
    """Added to the root of the second moment."""
    max_grad_norm: float | None = Field(3.0, gt=0.0, le=MAX_FACTOR)
    """Gradients are clipped to this global norm; null: no clipping."""


class TrainingConfig(Section):
    """Length of the training, batch size and precision."""

    num_steps: int = Field(500_000, ge=1, le=MAX_STEPS)
    """Optimiser updates. 800 epochs of 1,281,167 images in batches of 2048 are about
    500,000."""
    batch_size: int = Field(2048, ge=2, le=MAX_BATCH)
    """Samples per update."""
    precision: Precision = "float32"
    """Precision of the matrix products in training. ``bfloat16``: mixed precision by
    ``torch.autocast``; weights, optimiser, EMA, targets and loss stay float32. The
    released runs are mixed float16, vision's with the teacher in float32. Evaluation is
    always float32."""


class EvaluationConfig(Section):
    """The fixed frozen protocol: probe and k-NN on features of the unmasked input.

    The same network in the same (evaluation) mode gives the features the probe is
    fitted, selected and tested on.
    """

    network: Network = "student"
    """Network whose features are used; reference arms have one only."""
    num_labels: int | None = Field(None, ge=10, le=MAX_SAMPLES)
    """Labelled training samples the probe sees, class-balanced and drawn with the
    trial's seed; null: all."""
    num_label_draws: int = Field(1, ge=1, le=100)
    """Labelled subsets of ``num_labels`` samples, the same ones in every arm of a seed.
    A probe is fitted on each; the score is their mean, and their spread is recorded.
    More than one needs ``num_labels``. Fine-tuning uses the first."""
    num_layers: int = Field(1, ge=1, le=MAX_DEPTH)
    """Blocks whose outputs are averaged to frozen features, counted from the last; 1:
    the final output. Fine-tuning uses that always."""
    l2_grid: tuple[Factor, ...] = Field(
        (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        min_length=1,
        max_length=MAX_ITEMS,
        strict=False,
    )
    """L2 strengths of the logistic-regression probe; the one with the best validation
    accuracy is used and stored. The penalty is ``strength / 2 * |w|^2`` beside the mean
    cross-entropy, on standardised features."""
    num_neighbours: int = Field(20, ge=1, le=MAX_SAMPLES)
    """k of the k-NN classifier (cosine distance, distance-weighted votes)."""
    metrics: tuple[Annotated[OwnFunction, TakesOwn("metric")], ...] = Field(
        (), strict=False, max_length=MAX_ITEMS
    )
    """The user's own functions of features: of the test images, or of what RankMe is
    computed of (utterances, rows of text, images without labels). ``own.py:f`` is
    logged as ``eval/own_f``, which is the name a study's own metric has."""


class ExecutionConfig(Section):
    """Place and speed of a trial; nothing here is part of its identity."""

    device: Literal["auto", "cpu", "cuda"] = execution_field("auto")
    """``auto`` takes a GPU when the process sees one."""
    num_threads: int = execution_field(1, ge=1, le=MAX_PROCESSES)
    """CPU threads of a trial; also what Ray reserves for it."""
    num_gpus: float = execution_field(0.0, ge=0.0, le=MAX_PROCESSES)
    """Share of a GPU that Ray reserves for a trial, or for each of its workers."""
    num_workers: int = execution_field(1, ge=1, le=MAX_PROCESSES)
    """Processes that train one trial together, data parallel, through Ray Train. Each
    has ``num_threads`` threads, ``num_gpus`` GPUs and its share of every batch, whose
    size it must divide. The same numbers up to rounding as one process gives, but
    dropout, stochastic depth and layer drop draw other values in each."""
    log_every: int = execution_field(25, ge=1, le=MAX_STEPS)
    """Updates between two progress events."""
    system_metrics: bool = execution_field(False)
    """Log with them what the process takes of CPU, memory and GPU, as ``system/...``,
    which MLflow shows on a tab of its own. Sweeps only."""
    checkpoint_every_seconds: float = execution_field(10.0, gt=0.0, le=MAX_SECONDS)
    """Wall-clock seconds between two checkpoints."""
    silence_seconds: float | None = execution_field(None, gt=0.0, le=MAX_SECONDS)
    """A trial of a sweep that reports nothing for so long counts as hanging and is
    ended; null: never. The evaluation reports nothing until it is over, so it must fit
    in, fine-tuning included."""
    probe_at: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = execution_field(
        (), strict=False
    )
    """Shares of the training after which the encoder is evaluated, for its validation
    metrics alone; each costs what the final evaluation does. Training is the same
    without. A search stops trials by it."""
    prefetch: int | None = execution_field(None, ge=0, le=MAX_BATCH)
    """Batches that a background thread makes ahead; null: 2 on a GPU, 0 on the CPU,
    where it would take the time it saves. Does not change any batch."""
    compile: bool = execution_field(False)
    """Compile the student's blocks (``torch.compile``), all but the last, which runs at
    masked positions only. The same numbers up to rounding."""
