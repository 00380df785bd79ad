"""What every objective of the registry keeps to, on every modality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from d2v_core.build import build_objective, check_buildable
from d2v_core.config import TrialConfig
from d2v_core.config.objective import AnyObjective, OwnObjective
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Padded
from d2v_core.errors import ConfigError
from d2v_core.modalities import modality_of
from d2v_core.objectives import BUILDERS
from d2v_core.objectives.protocol import Objective, StepResult
from d2v_core.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from d2v_core.training.optimizer import build_optimizer
from d2v_core.training.parallel import ALONE, Workers
from tests.d2v_core.small import small_dataset, small_trial
from tests.d2v_core.small_objectives import SHORT, SMALL_DECODER, SMALL_QUANTISER
from tests.d2v_core.small_speech import (
    LOG_MEL,
    small_speech_dataset,
    small_speech_trial,
)
from tests.d2v_core.small_text import small_text_dataset, small_text_trial
from tests.d2v_core.updates import update

SECTIONS = {
    section().kind: section
    for section in get_args(AnyObjective)
    if section is not OwnObjective  # whose example has a test of its own
}
TRAINED = [kind for kind, section in SECTIONS.items() if section.trains]
MAKERS: dict[str, tuple[Callable[..., TrialConfig], Callable[[], Any]]] = {
    "vision": (small_trial, small_dataset),
    "speech": (small_speech_trial, small_speech_dataset),
    "text": (small_text_trial, small_text_dataset),
}
BERT = {"mask": {"kind": "bert", "probability": 0.4}}
"""Draws tokens too."""
ALL_HIDDEN = {"mask": {**BERT["mask"], "mask_share": 1.0, "random_share": 0.0}}
LIGHT = {"objective": {"num_masks": 3, "decoder": {"width": 16, "depth": 2}}}
MORE = {"vision": {}, "speech": {}, "text": BERT}
OWN: dict[tuple[str, str], dict[str, Any]] = {
    ("data2vec2", "vision"): LIGHT,
    ("data2vec2", "speech"): LIGHT,
    ("data2vec2", "text"): {**LIGHT, **ALL_HIDDEN},
    ("pixels", "vision"): {"objective": SMALL_DECODER},
    ("pixels", "speech"): {"objective": SMALL_DECODER, **LOG_MEL, **SHORT},
    ("contrastive", "speech"): {"objective": SMALL_QUANTISER},
    ("rotation", "vision"): {"objective": {"views": "one"}},
    ("jigsaw", "vision"): {"objective": {"num_permutations": 6}},
}
"""What an objective needs on a modality."""
PAIRS = [
    (kind, modality)
    for kind, section in SECTIONS.items()
    for modality in MAKERS
    if not section.modalities or modality in section.modalities
]
REFUSED = [
    (kind, modality)
    for kind in SECTIONS
    for modality in MAKERS
    if (kind, modality) not in PAIRS
]
TRAINED_PAIRS = [(kind, modality) for kind, modality in PAIRS if kind in TRAINED]


@cache
def data_of(modality: str) -> Any:
    return MAKERS[modality][1]()


def trial_of(kind: str, modality: str, *changes: Any) -> TrialConfig:
    make, _ = MAKERS[modality]
    own = OWN.get((kind, modality), {})
    chosen = {"objective": {"kind": kind}}, MORE[modality], own, *changes
    return make(*chosen)


def built(trial: TrialConfig, modality: str, workers: Workers = ALONE) -> Objective:
    num_classes = len(data_of(modality).classes)
    return build_objective(trial, num_classes=num_classes, workers=workers)


def batch(
    trial: TrialConfig, modality: str, step: int, workers: Workers = ALONE
) -> tuple[Any, Any]:
    return modality_of(trial).batches(trial, data_of(modality), workers)(step)


def tensors(draw: Any) -> dict[str, Tensor]:
    """Tensors of a draw, also of inputs in it, by the name of their field."""
    parts = {field.name: getattr(draw, field.name) for field in fields(draw)}
    parts = {
        name: part.values if isinstance(part, Padded) else part
        for name, part in parts.items()
    }
    return {name: part for name, part in parts.items() if isinstance(part, Tensor)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def advance(state: TrainingState, trial: TrialConfig, modality: str) -> StepResult:
    """One whole update."""
    state.step += 1
    inputs, labels = batch(trial, modality, state.step)
    result = update(state.objective, inputs, labels, state.step)
    result.loss.backward()
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.objective.after_update(state.step)
    return result


def state_of(trial: TrialConfig, modality: str) -> TrainingState:
    objective = built(trial, modality)
    optimizer = build_optimizer(objective.module, trial.optimizer)
    return TrainingState(objective=objective, optimizer=optimizer)


def test_the_registry_has_every_kind_that_can_be_configured() -> None:
    assert set(BUILDERS) == {*SECTIONS, "own"}
    assert TRAINED


def test_a_kind_without_a_builder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(BUILDERS, "supervised")  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"objective.kind: supervised has no builder"):
        check_buildable(trial_of("supervised", "vision"))


@pytest.mark.parametrize(("kind", "modality"), REFUSED)
def test_a_modality_it_is_not_for_is_refused(kind: str, modality: str) -> None:
    message = f"objective.kind: must be an objective for {modality}, got {kind}, which"
    with pytest.raises(ConfigError, match=message):
        trial_of(kind, modality)


@pytest.mark.parametrize(("kind", "modality"), PAIRS)
class TestEveryObjective:
    def test_it_is_one(self, kind: str, modality: str) -> None:
        trial = trial_of(kind, modality)
        objective = built(trial, modality)
        assert isinstance(objective, Objective)
        types = [type(make()) for make, _ in MAKERS.values()]
        assert trial.objective.uses <= {n for one in types for n in one.model_fields}
        for which in ("student", "teacher"):
            assert isinstance(objective.network(which), Encoder)
        inside = {id(p) for p in objective.module.parameters()}
        assert {id(p) for p in objective.network("student").parameters()} <= inside

    def test_a_draw_is_a_function_of_seed_and_update(
        self, kind: str, modality: str
    ) -> None:
        trial = trial_of(kind, modality)
        inputs, _ = batch(trial, modality, 1)
        before = torch.get_rng_state()
        one, other = built(trial, modality), built(trial, modality)
        one.draw(inputs, 7)
        drawn = tensors(one.draw(inputs, 3))
        assert same(drawn, tensors(other.draw(inputs, 3)))
        assert torch.equal(torch.get_rng_state(), before)
        assert {part.device.type for part in drawn.values()} <= {"cpu"}
        reseeded = built(trial_of(kind, modality, {"seed": 9}), modality)
        for another in (one.draw(inputs, 4), reseeded.draw(inputs, 3)):
            assert same(drawn, tensors(another)) == (not drawn)

    def test_the_draws_of_two_workers_are_the_rows_of_one(
        self, kind: str, modality: str
    ) -> None:
        trial = trial_of(kind, modality)
        whole = tensors(built(trial, modality).draw(batch(trial, modality, 3)[0], 3))
        shares = []
        for workers in (Workers(rank, 2) for rank in range(2)):
            inputs, _ = batch(trial, modality, 3, workers)
            shares.append(tensors(built(trial, modality, workers).draw(inputs, 3)))
        for name, part in whole.items():
            if part.ndim > 1:  # else flat places, which are those of another part
                halves = torch.cat([share[name] for share in shares])
                assert torch.equal(halves, part), name

    def test_it_moves_to_a_device(self, kind: str, modality: str) -> None:
        trial, meta = trial_of(kind, modality), torch.device("meta")
        objective = built(trial, modality)
        draw = objective.draw(batch(trial, modality, 1)[0], 1)
        assert {part.device for part in tensors(draw.to(meta)).values()} <= {meta}
        objective.to(meta)
        for module in (objective.module, objective.network("teacher")):
            assert {part.device for part in module.parameters()} == {meta}


@pytest.mark.parametrize(("kind", "modality"), TRAINED_PAIRS)
class TestEveryObjectiveThatTrains:
    def test_the_loss_is_finite_and_moves_only_what_is_optimised(
        self, kind: str, modality: str
    ) -> None:
        trial = trial_of(kind, modality)
        objective = built(trial, modality)
        result = update(objective, *batch(trial, modality, 1), 1)
        assert result.loss.shape == ()
        assert result.loss.isfinite()
        assert result.num_terms >= 1
        assert set(objective.thresholds) <= set(result.measure())
        assert all(value == value for value in result.describe().values())
        result.loss.backward()
        grads = [p.grad for p in objective.module.parameters() if p.requires_grad]
        found = [grad for grad in grads if grad is not None]
        assert found
        assert all(grad.isfinite().all() for grad in found)
        assert any(grad.any() for grad in found)
        optimised = {id(p) for p in objective.module.parameters()}
        for parameter in objective.network("teacher").parameters():
            assert id(parameter) in optimised or parameter.grad is None

    def test_a_restored_state_goes_on_bit_by_bit(
        self, kind: str, modality: str, tmp_path: Path
    ) -> None:
        trial, file = trial_of(kind, modality), tmp_path / "checkpoint.pt"
        straight, resumed = state_of(trial, modality), state_of(trial, modality)
        for _ in range(2):
            advance(straight, trial, modality)
        save_checkpoint(file, straight)
        load_checkpoint(file, resumed)
        losses = [advance(s, trial, modality).loss for s in (straight, resumed)]
        assert torch.equal(*losses)
        for state in ("state_dict", "extra_state"):
            both = [
                s.objective.module.state_dict()
                if state == "state_dict"
                else s.objective.extra_state()
                for s in (straight, resumed)
            ]
            assert same(*both)
