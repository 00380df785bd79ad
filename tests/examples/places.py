"""The examples, as a user's files: each test trains a tiny trial with one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablations.layers import Layer, resolve
from d2v_core.config import TrialConfig
from d2v_core.config.vision import VisionTrial
from d2v_core.training.events import Finished, Progress
from d2v_core.trial import run_trial
from tests.d2v_core.small import SMALL

EXAMPLES = Path(__file__).parents[2] / "examples"
KEYS = {"data": "0" * 16}


def own_trial(
    settings: Mapping[str, Any],
    folder: Path = EXAMPLES,
    base: Mapping[str, Any] = SMALL,
) -> TrialConfig:
    """A small trial with settings by dotted path, as a file in ``folder`` has them."""
    layers = [
        Layer(base, lambda path: "small"),
        Layer.from_dotted(settings, lambda path: "mine.yaml:3:5", folder),
    ]
    return resolve(base["modality"], layers)


def small_vision(settings: Mapping[str, Any], folder: Path = EXAMPLES) -> VisionTrial:
    trial = own_trial(settings, folder)
    assert isinstance(trial, VisionTrial)
    return trial


def trained(trial: TrialConfig) -> tuple[list[float], Mapping[str, float]]:
    """The loss of each update, and the metrics of the end."""
    losses: list[float] = []
    for event in run_trial(trial):
        if isinstance(event, Progress):
            losses.append(event.metrics["train/loss"])
        if isinstance(event, Finished):
            return losses, event.metrics
    raise AssertionError("not finished")
