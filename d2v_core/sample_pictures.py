"""A picture of a few validation samples at the end of a training.

It changes nothing: no weight, no random stream, no result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from d2v_core.config.trial import TrialConfig
from d2v_core.modalities import modality_of
from d2v_core.modalities.modality import Dataset
from d2v_core.objectives.parts.recovered import ShowsRecovered
from d2v_core.objectives.protocol import Objective
from d2v_core.randomness import global_torch_seed


def sample_picture(
    trial: TrialConfig, objective: Objective, dataset: Dataset
) -> bytes | None:
    """A PNG of what is hidden of some samples and what is predicted there.

    Args:
        trial: The configuration; its training is one process.
        objective: Trained.
        dataset: Its data.

    Returns:
        None for an objective that predicts no vectors at hidden positions, a modality
        without pictures, and data without samples that could be masked.
    """
    if not isinstance(objective, ShowsRecovered) or trial.num_workers > 1:
        return None
    encoder = objective.network("student")
    modules = [objective.module, objective.network("teacher")]
    eager = torch.compiler.set_stance("force_eager")  # compiling takes a minute
    seeded = global_torch_seed(trial.seed, "picture")
    with evaluating(modules), torch.no_grad(), eager, seeded:
        return modality_of(trial).picture(trial, encoder, dataset, objective.recovered)


@contextmanager
def evaluating(networks: list[nn.Module]) -> Iterator[None]:
    """Evaluation mode; afterwards each part of each network is as it was."""
    modes = [(part, part.training) for net in networks for part in net.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
