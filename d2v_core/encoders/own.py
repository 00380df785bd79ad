"""Encoders of images of the user's own."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from d2v_core.config.own import reference_in
from d2v_core.config.vision import VisionTrial
from d2v_core.encoders.encoder import Collect
from d2v_core.encoders.images import ImageEncoder, OwnImageEncoder
from d2v_core.errors import Problem
from d2v_core.own.kinds import ENCODER
from d2v_core.own.loading import own, tried

PATH = "vision.timm_model"


def own_encoder(trial: VisionTrial) -> ImageEncoder:
    """The network that the user's function makes, tried on two images at first.

    Weights are drawn from torch's global generator. A function may also give an
    :class:`ImageEncoder`, which is taken as it is.

    Raises:
        ConfigError: It cannot be used.
    """
    config, given = trial.vision, trial.vision.timm_model
    function = own(trial, PATH, ENCODER, given, config.settings)
    tried(PATH, ENCODER, given, partial(_built, function, trial, run=True))
    return _built(function, trial)


def _built(function: object, trial: VisionTrial, run: bool = False) -> ImageEncoder:
    """The encoder; raises ValueError if it is not what is asked for."""
    assert callable(function)
    config, network = trial.vision, function(trial.vision)
    if not isinstance(network, nn.Module):
        raise ValueError(f"gave a {type(network).__name__}")
    images = torch.zeros(2, config.channels, config.image_size, config.image_size)
    encoder = (
        network
        if isinstance(network, ImageEncoder)
        else OwnImageEncoder(network, images)
    )
    for name, actual in {"width": encoder.dim, "depth": encoder.depth}.items():
        if getattr(config, name) not in (None, actual):
            wanted = f"vision.{name} is {getattr(config, name)}"
            raise ValueError(f"{wanted}, the network's is {actual}")
    if run:
        _run(encoder, images)
    return encoder


def _run(encoder: ImageEncoder, images: torch.Tensor) -> None:
    """Raise ValueError if two images, one patch masked, do not give what they must."""
    wanted = len(images), encoder.grid[0] * encoder.grid[1], encoder.dim
    mask = torch.zeros(wanted[:2], dtype=torch.bool)
    mask[:, 0] = True
    encoder.eval()
    collect = Collect(encoder.depth, ("block",))
    encoded = encoder.encode(encoder.embed(images), mask, collect=collect)
    shapes = [tuple(t.shape) for t in (encoded.tokens, *encoded.layers["block"])]
    if set(shapes) != {wanted}:
        raise ValueError(f"blocks and norm must keep the shape {wanted}, give {shapes}")


def encoder_problems(trial: VisionTrial) -> list[Problem]:
    """What is asked of an encoder of the user's own that it does not offer."""
    if not reference_in(trial.vision.timm_model):
        return []
    feature, problems = trial.target.feature, []
    if "target" in trial.objective.uses and feature != "block":
        message = "must be block with an encoder of your own"
        problems.append(Problem("target.feature", f"{message}, got {feature}"))
    tuning = trial.evaluation.fine_tuning
    if tuning is not None and tuning.drop_path is not None:
        message = "must be null with an encoder of your own"
        path = "evaluation.fine_tuning.drop_path"
        problems.append(Problem(path, f"{message}, got {tuning.drop_path}"))
    return problems
