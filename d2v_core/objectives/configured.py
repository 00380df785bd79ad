"""What several objectives make of their settings: schedules and distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, assert_never, cast, get_args

import torch
from torch import Tensor

from d2v_core.config.choices import Feature
from d2v_core.config.objective import (
    ConstantTau,
    CosineTau,
    HorizonTau,
    L1Loss,
    L2Loss,
    Loss,
    OwnTau,
    SmoothL1Loss,
)
from d2v_core.config.own import reference_in
from d2v_core.config.trial import TrialConfig
from d2v_core.objectives.parts.losses import (
    RegressionLoss,
    l1_loss,
    l2_loss,
    scale_factor,
    scaled_loss,
    smooth_l1_loss,
)
from d2v_core.objectives.parts.targets import Norm, OwnFeature
from d2v_core.own.kinds import FEATURE, NORM, TAU
from d2v_core.own.loading import NUM_TRIED, own, share, tried
from d2v_core.training.schedules import (
    cosine_tau,
    linear_tau,
    resolve_duration,
    tau_of_horizon,
)


def build_norm(trial: TrialConfig, name: Literal["layer_norm", "final_norm"]) -> Norm:
    """One of the two target norms; the user's own is tried on random features.

    Raises:
        ConfigError: It cannot be used.
    """
    given, path = getattr(trial.target, name), f"target.{name}"
    if reference_in(given) is None:
        norm: Norm = given
        return norm
    function = own(trial, path, NORM, given)

    def normalised(features: Tensor, real: Tensor | None) -> Tensor:
        return shaped_like(features, function(features, real)).float()

    def call() -> None:
        features = torch.randn(2, 5, trial.encoder.width or 16)
        for real in (None, torch.ones(2, 5, dtype=torch.bool)):
            if not normalised(features, real).isfinite().all():
                raise ValueError("gave numbers that are not finite")

    tried(path, NORM, given, call)
    return normalised


def build_feature(trial: TrialConfig) -> Feature | OwnFeature:
    """What is taken of a block; the user's own is tried on random activations.

    Raises:
        ConfigError: It cannot be used.
    """
    given, path = trial.target.feature, "target.feature"
    if reference_in(given) is None:
        return cast(Feature, given)
    function = own(trial, path, FEATURE, given)

    def taken(activations: Mapping[Feature, Tensor]) -> Tensor:
        result = function(activations)
        return shaped_like(next(iter(activations.values())), result)

    size = 2, 5, trial.encoder.width or 16
    example = {kind: torch.randn(size) for kind in get_args(Feature)}
    tried(path, FEATURE, given, lambda: taken(example))
    return taken


def shaped_like(features: Tensor, result: Any) -> Tensor:
    """What a function made of features, if it has their shape.

    Raises:
        ValueError: It has another, or is no tensor.
    """
    if isinstance(result, Tensor) and result.shape == features.shape:
        return result
    given = tuple(getattr(result, "shape", ())) or type(result).__name__
    raise ValueError(f"gave {given} for features {tuple(features.shape)}")


def build_tau(trial: TrialConfig) -> Callable[[int], float]:
    """EMA decay of an update (from 1)."""
    tau = trial.teacher.tau
    num_steps = trial.training.num_steps
    if isinstance(tau, ConstantTau):
        value = tau.value
        return lambda step: value
    if isinstance(tau, OwnTau):
        return _own_tau(trial, tau)
    if isinstance(tau, HorizonTau):
        last = tau.horizon
        first = last if tau.initial_horizon is None else tau.initial_horizon
        start, end = tau_of_horizon(first, num_steps), tau_of_horizon(last, num_steps)
    else:
        start, end = tau.start, tau.end
    return partial(
        cosine_tau if isinstance(tau, CosineTau) else linear_tau,
        start=start,
        end=end,
        anneal_steps=resolve_duration(tau.anneal, num_steps),
    )


def _own_tau(trial: TrialConfig, tau: OwnTau) -> Callable[[int], float]:
    path, num_steps = "teacher.tau.function", trial.training.num_steps
    function = own(trial, path, TAU, tau.function, tau.settings)

    def at(step: int) -> float:
        return share(function(step, num_steps), f"at update {step} of {num_steps}")

    every = range(1, num_steps + 1, max(1, num_steps // NUM_TRIED))
    tried(path, TAU, tau.function, lambda: [at(step) for step in (*every, num_steps)])
    return at


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
