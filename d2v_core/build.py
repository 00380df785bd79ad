"""The only file that turns a configuration into modules, with each modality's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import torch

from d2v_core.config.objective import (
    ConstantTau,
    L1Loss,
    L2Loss,
    LinearTau,
    Loss,
    SmoothL1Loss,
    SupervisedObjective,
    UntrainedObjective,
)
from d2v_core.config.trial import (
    TrialConfig,
    depth_problem,
    groups_problem,
    modality_name,
)
from d2v_core.encoders.encoder import Encoder
from d2v_core.errors import ConfigError, Problem
from d2v_core.modalities import modality_of
from d2v_core.objectives.learners import Data2Vec, Learner, Supervised, Untrained
from d2v_core.objectives.parts.heads import regression_head
from d2v_core.objectives.parts.losses import (
    RegressionLoss,
    l1_loss,
    l2_loss,
    scale_factor,
    scaled_loss,
    smooth_l1_loss,
)
from d2v_core.randomness import global_torch_seed
from d2v_core.training.parallel import ALONE, Workers
from d2v_core.training.schedules import cosine_tau, linear_tau, resolve_duration


def build_learner(
    trial: TrialConfig, *, num_classes: int, workers: Workers = ALONE
) -> Learner:
    """The objective with freshly initialised networks.

    Encoder weights depend on the seed alone, so that all arms start alike.

    Args:
        trial: The configuration.
        num_classes: Labels of the data, for a supervised arm; 0: it has none.
        workers: Those that train it together.

    Raises:
        ConfigError: The encoder lacks what the configuration asks for (K blocks, a part
            to share, a width the groups divide ...), or the data has no labels.
    """
    encoder, modality = build_encoder(trial), modality_of(trial)
    _check_encoder(trial, encoder)
    with global_torch_seed(trial.seed, "head"):
        if isinstance(trial.objective, UntrainedObjective):
            return Untrained(encoder)
        if isinstance(trial.objective, SupervisedObjective):
            if not num_classes:
                rule = "supervised needs labelled training data, this has none"
                raise ConfigError([Problem("objective.kind", rule)])
            return Supervised(
                encoder=encoder,
                num_classes=num_classes,
                criterion=modality.criterion(trial, trial.objective),
                workers=workers,
            )
        return Data2Vec(
            encoder=encoder,
            head=regression_head(encoder.dim, trial.head.depth, trial.head_init),
            draw_mask=modality.draw_mask(trial, encoder, workers),
            tau=build_tau(trial),
            loss=build_loss(trial, encoder.dim),
            feature=trial.target.feature,
            top_k=trial.target.top_k,
            layer_norm=trial.target.layer_norm,
            final_norm=trial.target.final_norm,
            num_groups=trial.target.num_groups,
            shared=encoder.part_names(trial.teacher.shares),
            shares_features="feature_encoder" in trial.teacher.shares,
            restrict=encoder.restriction(trial.teacher.context),
            workers=workers,
        )


def build_encoder(trial: TrialConfig) -> Encoder:
    """The encoder with the trial's initial weights."""
    with global_torch_seed(trial.seed, "encoder"):
        encoder: Encoder = modality_of(trial).build_encoder(trial)
    return encoder


def check_buildable(trial: TrialConfig) -> int:
    """Build the encoder without memory; the number of its parameters.

    Raises:
        ConfigError: The encoder's library refuses it, or as :func:`build_learner`.
    """
    encoder = _build_on_meta(trial)
    _check_encoder(trial, encoder)
    return sum(parameter.numel() for parameter in encoder.parameters())


def default_depth(trial: TrialConfig) -> int:
    """Number of blocks of the encoder.

    Raises:
        ConfigError: As :func:`check_buildable`.
    """
    return _build_on_meta(trial).depth


def _check_encoder(trial: TrialConfig, encoder: Encoder) -> None:
    problems = modality_of(trial).check(trial, encoder)
    if trial.target.top_k > encoder.depth:
        problems.append(depth_problem(trial.target.top_k, encoder.depth))
    if encoder.dim % trial.target.num_groups:
        problems.append(groups_problem(trial.target.num_groups, encoder.dim))
    try:
        encoder.part_names(trial.teacher.shares)
    except ValueError as error:
        problems.append(Problem("teacher.shares", str(error)))
    if problems:
        raise ConfigError(problems)


def _build_on_meta(trial: TrialConfig) -> Encoder:
    section = modality_name(trial)
    try:
        with torch.device("meta"):
            return build_encoder(trial)
    except (ValueError, TypeError, AssertionError) as error:
        path, _, rest = str(error).partition(" ")
        if path.startswith(f"{section}."):
            problem = Problem(path.rstrip(":"), rest)
        else:
            problem = Problem(section, f"cannot be built with these sizes: {error}")
        raise ConfigError([problem]) from None


def build_tau(trial: TrialConfig) -> Callable[[int], float]:
    """EMA decay of an update (from 1)."""
    tau = trial.teacher.tau
    if isinstance(tau, ConstantTau):
        value = tau.value
        return lambda step: value
    return partial(
        linear_tau if isinstance(tau, LinearTau) else cosine_tau,
        start=tau.start,
        end=tau.end,
        anneal_steps=resolve_duration(tau.anneal, trial.training.num_steps),
    )


def build_loss(trial: TrialConfig, dim: int) -> RegressionLoss:
    """The configured distance of ``dim`` channels, times its scale."""
    return scaled_loss(_distance(trial.loss), scale_factor(trial.loss.scale, dim))


def _distance(loss: Loss) -> RegressionLoss:
    match loss:
        case SmoothL1Loss():
            return partial(smooth_l1_loss, beta=loss.beta)
        case L2Loss():
            return l2_loss
        case L1Loss():
            return l1_loss
        case _:
            assert_never(loss)
