"""What a running trial says; typed, in the order it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from d2v_core.training.checkpoint import TrainingState, save_checkpoint
from d2v_core.training.health import Collapse

Status = Literal["finished", "collapsed"]


@dataclass(frozen=True)
class Started:
    """Networks and data are ready.

    Attributes:
        step: Updates already done (above 0 when resumed).
        num_steps: Updates of the whole run; 0 for an untrained encoder.
        num_parameters: Parameters of the evaluated encoder.
        seconds: Training time so far.
        data: What was found of the data set and what is used, in a line.
        inventory: The same in numbers, as JSON takes it.
    """

    step: int
    num_steps: int
    num_parameters: int
    seconds: float = 0.0
    data: str = ""
    inventory: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Metrics after an update.

    Attributes:
        step: Updates done.
        metrics: Named as in the tracking store (``train/loss``, ``target/std`` ...).
        seconds: Training time so far, earlier attempts included.
        data_seconds: Part of it spent waiting for data.
    """

    step: int
    metrics: Mapping[str, float]
    seconds: float
    data_seconds: float = 0.0


@dataclass(frozen=True)
class CheckpointDue:
    """The state is consistent and enough time has passed; save it now or never.

    Attributes:
        state: Live state: it changes as soon as the loop continues.
        stopping: It does not continue: this is the last chance.
    """

    state: TrainingState
    stopping: bool = False

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        save_checkpoint(path, self.state)


@dataclass(frozen=True)
class ProbeDue:
    """An update after which the encoder is to be evaluated has been made.

    Attributes:
        step: Updates done.
    """

    step: int


@dataclass(frozen=True)
class Probed:
    """The encoder was evaluated in the middle of its training.

    Attributes:
        step: Updates done.
        share: Share of all updates, as asked for in ``execution.probe_at``.
        metrics: Those of the validation split (``eval/linear_validation_accuracy``).
    """

    step: int
    share: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Collapsed:
    """Targets or predictions fell below their threshold.

    Attributes:
        collapse: Step and evidence.
    """

    collapse: Collapse


@dataclass(frozen=True)
class Trained:
    """The last update is done and evaluation follows; the state is final.

    A run that continues from it trains nothing.

    Attributes:
        state: What is evaluated.
    """

    state: TrainingState

    def save(self, path: Path) -> None:
        """Write the final checkpoint, whole or not at all."""
        save_checkpoint(path, self.state)


@dataclass(frozen=True)
class Finished:
    """The trial is over.

    Attributes:
        status: ``collapsed`` when a collapse was seen, whether or not training went on.
        step: Updates done.
        metrics: Evaluation metrics (``eval/linear_accuracy`` ...) and cost.
        choices: What the evaluation selected on the validation split.
        notes: Remarks a reader of the result needs.
        draws: Scores at each labelled subset, by metric.
    """

    status: Status
    step: int
    metrics: Mapping[str, float]
    choices: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    draws: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


Event = Started | Progress | Probed | CheckpointDue | Collapsed | Trained | Finished
