"""The only file that turns a configuration into modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import torch
from jaxtyping import Bool
from torch import Tensor

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
from d2v_core.config.trial import VisionTrial, depth_problem, groups_problem
from d2v_core.config.vision import RandomMask
from d2v_core.encoders.attention_window import teacher_window
from d2v_core.encoders.timm_vision import VisionEncoder, create_vit
from d2v_core.encoders.vision_parts import local_features, parameter_names
from d2v_core.errors import ConfigError, Problem
from d2v_core.heads import regression_head
from d2v_core.learners import Data2Vec, Learner, Supervised, Untrained
from d2v_core.losses import (
    RegressionLoss,
    l1_loss,
    l2_loss,
    scale_factor,
    scaled_loss,
    smooth_l1_loss,
)
from d2v_core.masks import BlockMasks, MaskSampler, RandomMasks
from d2v_core.randomness import global_torch_seed, numpy_generator
from d2v_core.schedules import cosine_tau, linear_tau, resolve_duration


def build_learner(trial: VisionTrial, *, num_classes: int) -> Learner:
    """The objective with freshly initialised networks.

    Encoder weights depend on the seed alone, so that all arms start alike.

    Raises:
        ConfigError: The encoder lacks what the configuration asks for: K blocks, a
            class token to pool, positions to share, a width the groups divide.
    """
    encoder = build_encoder(trial)
    _check_encoder(trial, encoder)
    with global_torch_seed(trial.seed, "head"):
        if isinstance(trial.objective, UntrainedObjective):
            return Untrained(encoder)
        if isinstance(trial.objective, SupervisedObjective):
            return Supervised(
                encoder=encoder,
                num_classes=num_classes,
                label_smoothing=trial.objective.label_smoothing,
            )
        return Data2Vec(
            encoder=encoder,
            head=regression_head(encoder.dim, trial.head.depth),
            draw_mask=build_mask_drawer(trial, encoder.grid),
            tau=build_tau(trial),
            loss=build_loss(trial, encoder.dim),
            feature=trial.target.feature,
            top_k=trial.target.top_k,
            layer_norm=trial.target.layer_norm,
            final_norm=trial.target.final_norm,
            num_groups=trial.target.num_groups,
            shared=parameter_names(encoder, trial.teacher.shares),
            restrict=teacher_window(encoder, trial.teacher.context),
            local_features=partial(local_features, encoder),
        )


def build_encoder(trial: VisionTrial) -> VisionEncoder:
    """The encoder with the trial's initial weights."""
    options = trial.vision.model_dump(exclude={"image_size", "channels"})
    with global_torch_seed(trial.seed, "encoder"):
        vit = create_vit(
            image_size=trial.vision.image_size,
            channels=trial.vision.channels,
            **options,
        )
        return VisionEncoder(vit)


def check_buildable(trial: VisionTrial) -> int:
    """Build the encoder without memory; the number of its parameters.

    Raises:
        ConfigError: timm refuses the model, or as :func:`build_learner`.
    """
    encoder = _build_on_meta(trial)
    _check_encoder(trial, encoder)
    return sum(parameter.numel() for parameter in encoder.parameters())


def _check_encoder(trial: VisionTrial, encoder: VisionEncoder) -> None:
    problems = []
    if trial.target.top_k > encoder.depth:
        problems.append(depth_problem(trial.target.top_k, encoder.depth))
    if trial.evaluation.pooling == "class_token" and not encoder.has_class_token:
        name = trial.vision.timm_model
        rule = f"class_token needs a model that has one, {name!r} has none"
        problems.append(Problem("evaluation.pooling", rule))
    if encoder.dim % trial.target.num_groups:
        problems.append(groups_problem(trial.target.num_groups, encoder.dim))
    try:
        parameter_names(encoder, trial.teacher.shares)
    except ValueError as error:
        problems.append(Problem("teacher.shares", str(error)))
    if problems:
        raise ConfigError(problems)


def _build_on_meta(trial: VisionTrial) -> VisionEncoder:
    try:
        with torch.device("meta"):
            return build_encoder(trial)
    except (ValueError, TypeError, AssertionError) as error:
        path, _, rest = str(error).partition(" ")
        known = path.startswith("vision.")
        problem = Problem(path.rstrip(":"), rest) if known else _refused(trial, error)
        raise ConfigError([problem]) from None


def _refused(trial: VisionTrial, error: Exception) -> Problem:
    name = trial.vision.timm_model
    return Problem("vision", f"timm cannot build {name!r} with these sizes: {error}")


def build_mask_drawer(
    trial: VisionTrial, grid: tuple[int, int]
) -> Callable[[int, int], Bool[Tensor, "batch tokens"]]:
    """Masks as a function of batch size and update; drawn from the trial's seed."""
    sample = build_mask_sampler(trial, grid)

    def draw(batch_size: int, step: int) -> Bool[Tensor, "batch tokens"]:
        mask = sample(batch_size, numpy_generator(trial.seed, "mask", step))
        return torch.from_numpy(mask).flatten(1)

    return draw


def build_mask_sampler(trial: VisionTrial, grid: tuple[int, int]) -> MaskSampler:
    """The sampler of the configured kind."""
    mask = trial.mask
    if isinstance(mask, RandomMask):
        return RandomMasks(grid=grid, ratio=mask.ratio)
    return BlockMasks(
        grid=grid,
        ratio=mask.ratio,
        min_patches=mask.min_patches,
        max_patches=mask.max_patches,
        min_aspect=mask.min_aspect,
    )


def build_tau(trial: VisionTrial) -> Callable[[int], float]:
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


def build_loss(trial: VisionTrial, dim: int) -> RegressionLoss:
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


def default_depth(trial: VisionTrial) -> int:
    """Number of blocks of the encoder, from timm.

    Raises:
        ConfigError: As :func:`check_buildable`.
    """
    return _build_on_meta(trial).depth
