"""One trial from configuration to result: data, training, evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from d2v_core.build import build_objective
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.modalities import modality_of
from d2v_core.modalities.modality import Dataset
from d2v_core.trained import TrainedEncoder
from d2v_core.training.checkpoint import TrainingState, resume
from d2v_core.training.compilation import compile_blocks
from d2v_core.training.events import (
    CheckpointDue,
    Collapsed,
    Event,
    Finished,
    Probed,
    ProbeDue,
    Progress,
    Started,
    Trained,
)
from d2v_core.training.loop import train
from d2v_core.training.optimizer import build_learning_rate, build_optimizer
from d2v_core.training.own import own_decay, own_optimizer
from d2v_core.training.parallel import ALONE, Workers
from d2v_core.training.schedules import resolve_duration


def run_trial(
    trial: TrialConfig,
    *,
    checkpoint: Path | None = None,
    dataset: Dataset | None = None,
    stop_wanted: Callable[[], bool] = bool,
    workers: Workers = ALONE,
    evaluates: bool = True,
) -> Iterator[Event]:
    """Train and evaluate; the last event is :class:`Finished`, unless it is stopped.

    Args:
        trial: The configuration.
        checkpoint: A checkpoint to resume from, when the file exists and is whole.
        dataset: The trial's data when it is already loaded.
        stop_wanted: Asked after progress events; the last event is then a checkpoint.
        workers: Those that train it together: each runs this, the first evaluates. The
            others end with :class:`Trained`.
        evaluates: Whether it is; otherwise all end with :class:`Trained`.

    Raises:
        DataError: The data is missing or broken.
        DivergedError: Training left the finite numbers.
        PeerLostError: Another worker is gone.
    """
    torch.set_num_threads(trial.execution.num_threads)
    device = pick_device(trial.execution.device)
    modality = modality_of(trial)
    dataset = dataset or modality.load_data(trial)
    objective = build_objective(
        trial, num_classes=len(dataset.classes), workers=workers
    )
    objective.to(device)
    if trial.execution.compile:
        compile_blocks(objective.network("student"))
    encoder = objective.network(trial.evaluation.network)
    optimizer = build_optimizer(objective.module, trial.optimizer, own_optimizer(trial))
    state = TrainingState(
        objective=objective,
        optimizer=optimizer,
        preprocessing=modality.preprocessing(trial, dataset),
    )
    if checkpoint is not None:
        resume(checkpoint, state)
    workers.check_step(state.step)
    num_steps = num_updates(trial)
    yield Started(
        step=state.step,
        num_steps=num_steps,
        num_parameters=sum(p.numel() for p in encoder.parameters()),
        seconds=state.seconds,
        data=f"{dataset.name}: {dataset.inventory.line()}",
        inventory=dataset.inventory.content(),
    )
    if state.collapse is None or trial.health.on_collapse == "continue":
        for event in _training(trial, state, dataset, stop_wanted, workers):
            if not isinstance(event, ProbeDue):
                yield event
                continue
            if workers.rank:
                continue  # waits for the first at the next update
            probed = evaluate(trial, encoder, dataset).metrics
            yield Probed(
                step=event.step,
                share=probe_steps(trial)[event.step],
                metrics={k: v for k, v in probed.items() if "_validation_" in k},
            )
    stops_early = state.collapse is not None and trial.health.on_collapse == "stop"
    if state.step < num_steps and not stops_early:
        return
    yield Trained(state)
    if evaluates and not workers.rank:
        yield _evaluated(trial, encoder, dataset, state)


def evaluate_trained(
    trial: TrialConfig, trained: TrainedEncoder, *, dataset: Dataset | None = None
) -> Iterator[Started | Finished]:
    """Evaluate an encoder that was trained before, as :func:`run_trial` ends.

    The numbers are the same to the bit: all that training leaves to the evaluation is
    in ``trained``.

    Args:
        trial: The configuration, perhaps with another evaluation.
        trained: The outcome of a training with the same training key.
        dataset: The trial's data when it is already loaded.

    Raises:
        BrokenEncoderError: The weights are of another encoder.
        DataError: The data is missing or broken.
    """
    torch.set_num_threads(trial.execution.num_threads)
    encoder = trained.encoder(trial, trial.evaluation.network)
    encoder.to(pick_device(trial.execution.device))
    dataset = dataset or modality_of(trial).load_data(trial)
    yield Started(
        step=trained.step,
        num_steps=num_updates(trial),
        num_parameters=sum(p.numel() for p in encoder.parameters()),
        seconds=trained.seconds,
        data=f"{dataset.name}: {dataset.inventory.line()}",
        inventory=dataset.inventory.content(),
    )
    yield _evaluated(trial, encoder, dataset, trained)


def _evaluated(
    trial: TrialConfig,
    encoder: Encoder,
    dataset: Dataset,
    state: TrainingState | TrainedEncoder,
) -> Finished:
    started = time.perf_counter()
    evaluation = evaluate(trial, encoder, dataset)
    seconds = time.perf_counter() - started
    return Finished(
        status="collapsed" if state.collapse else "finished",
        step=state.step,
        metrics={
            **evaluation.metrics,
            "cost/training_seconds": state.seconds,
            "cost/data_wait_share": state.data_seconds / max(state.seconds, 1e-9),
            "cost/evaluation_seconds": seconds,
        },
        choices=evaluation.choices,
        notes=(
            *((str(state.collapse),) if state.collapse else ()),
            *dataset.notes,
            *evaluation.notes,
        ),
        draws=evaluation.draws,
    )


def num_updates(trial: TrialConfig) -> int:
    """Updates a trial makes."""
    return trial.training.num_steps if trial.objective.trains else 0


def evaluate(trial: TrialConfig, encoder: Encoder, dataset: Dataset) -> Evaluation:
    """The trial's protocol on an encoder; scikit-learn keeps to the trial's threads."""
    with threadpool_limits(trial.execution.num_threads):
        return modality_of(trial).evaluate(trial, encoder, dataset)


def probe_steps(trial: TrialConfig) -> dict[int, float]:
    """The updates after which the encoder is probed, and the shares they stand for."""
    num_steps = num_updates(trial)
    steps = {round(share * num_steps): share for share in trial.execution.probe_at}
    return {step: share for step, share in steps.items() if 0 < step < num_steps}


def pick_device(device: str) -> torch.device:
    """``auto`` is the GPU this process sees, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def num_ahead(prefetch: int | None, device: torch.device) -> int:
    """Batches to make ahead; None: 2 for a GPU, which must never wait, else 0."""
    if prefetch is not None:
        return prefetch
    return 2 if device.type == "cuda" else 0


def _training(
    trial: TrialConfig,
    state: TrainingState,
    dataset: Dataset,
    stop_wanted: Callable[[], bool],
    workers: Workers,
) -> Iterator[Progress | ProbeDue | CheckpointDue | Collapsed]:
    num_steps, health = num_updates(trial), trial.health
    return train(
        state,
        batches=modality_of(trial).batches(trial, dataset, workers),
        num_steps=num_steps,
        learning_rate_at=build_learning_rate(
            trial.optimizer, num_steps, own_decay(trial)
        ),
        max_grad_norm=trial.optimizer.max_grad_norm,
        seed=trial.seed,
        log_every=trial.execution.log_every,
        checkpoint_every_seconds=trial.execution.checkpoint_every_seconds,
        thresholds=state.objective.thresholds,
        check_after=resolve_duration(health.after, num_steps),
        check_every=health.check_every,
        stop_on_collapse=health.on_collapse == "stop",
        precision=trial.training.precision,
        prefetch=num_ahead(trial.execution.prefetch, state.device),
        probe_after=probe_steps(trial),
        stop_wanted=stop_wanted,
        workers=workers,
    )
