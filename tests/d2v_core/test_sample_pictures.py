"""A picture at the end of a training changes nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from d2v_core.sample_pictures import sample_picture
from d2v_core.training.events import Finished, Trained
from d2v_core.trial import run_trial
from tests.d2v_core.small import EVERYTHING_RANDOM, SECOND, small_dataset, small_trial
from tests.d2v_core.small_speech import small_speech_dataset, small_speech_trial

PIXELS = {"objective": {"kind": "pixels"}}


def ended(trial: Any, dataset: Any, *, draws: bool) -> tuple[Any, bytes | None, Any]:
    """Result, picture and state of a training."""
    png, state = None, None
    for event in run_trial(trial, dataset=dataset):
        if isinstance(event, Trained):
            state = event.state
            modes = [part.training for part in state.objective.module.modules()]
            if draws:
                png = sample_picture(trial, state.objective, dataset)
                assert png == sample_picture(trial, state.objective, dataset)
            parts = state.objective.module.modules()
            assert [part.training for part in parts] == modes
        if isinstance(event, Finished):
            results = {k: v for k, v in event.metrics.items() if "cost/" not in k}
    return results, png, state


@pytest.mark.parametrize("change", [{}, SECOND, PIXELS])
def test_results_and_random_streams_are_those_without_it(change: Any) -> None:
    trial = small_trial(EVERYTHING_RANDOM, change)
    torch.manual_seed(5)
    plain, none, _ = ended(trial, small_dataset(), draws=False)
    left = torch.get_rng_state()
    torch.manual_seed(5)
    drawn, png, _ = ended(trial, small_dataset(), draws=True)
    assert torch.equal(torch.get_rng_state(), left)
    assert none is None
    assert png is not None
    assert png.startswith(b"\x89PNG")
    assert drawn == plain


def test_speech_has_spectrograms() -> None:
    png = ended(small_speech_trial(), small_speech_dataset(), draws=True)[1]
    assert png is not None
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["untrained", "supervised", "rotation"])
def test_where_nothing_is_hidden_there_is_no_picture(kind: str) -> None:
    trial = small_trial({"objective": {"kind": kind}})
    assert ended(trial, small_dataset(), draws=True)[1] is None


def test_what_is_predicted_is_what_the_loss_compares() -> None:
    """The mean distance over hidden places is the loss of that batch and draw."""
    for change in ({}, SECOND, PIXELS):
        trial = small_trial(change)
        objective = ended(trial, small_dataset(), draws=False)[2].objective
        objective.module.eval()
        inputs = torch.randn(3, 1, 8, 8)
        with torch.no_grad():
            shown = objective.recovered(inputs)
            result = objective.loss(inputs, None, objective.draw(inputs, 0), 0)
        hidden = shown.targets[shown.mask]
        assert hidden.shape == shown.predictions.shape
        if change is not SECOND:  # the loss is over both masks
            distance = (hidden - shown.predictions).square().mean()
            assert float(distance) > 0
        if change is PIXELS:
            assert float(distance) == pytest.approx(float(result.loss), rel=1e-5)
