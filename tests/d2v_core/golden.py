"""Five updates from weights and batches without randomness."""

from __future__ import annotations

from d2v_core.config import TrialConfig
from d2v_core.data.batch import Batches
from d2v_core.objectives.protocol import Objective
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.loop import train
from d2v_core.training.optimizer import build_learning_rate, build_optimizer


def five_losses(
    trial: TrialConfig, objective: Objective, batches: Batches
) -> list[float]:
    """The losses of the training loop, the weights as they are given."""
    events = train(
        TrainingState(
            objective=objective,
            optimizer=build_optimizer(objective.module, trial.optimizer),
        ),
        batches=batches,
        num_steps=5,
        learning_rate_at=build_learning_rate(trial.optimizer, 5),
        max_grad_norm=3.0,
        seed=0,
        log_every=1,
        check_every=1,
        checkpoint_every_seconds=1e9,
        thresholds={},
        check_after=0,
        stop_on_collapse=True,
    )
    return [event.metrics["train/loss"] for event in events]
