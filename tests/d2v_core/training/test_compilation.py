"""Compiled blocks give the same numbers; teachers are left alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from d2v_core.build import build_objective
from d2v_core.config import parse_trial
from d2v_core.training.compilation import compile_blocks
from tests.d2v_core.small import small_trial
from tests.d2v_core.updates import update


def compiled(module):
    return module._compiled_call_impl is not None


@pytest.fixture
def without_code_generation(monkeypatch):
    """Traces and guards as always; runs the traced graph instead of generated code."""
    original, asked = torch.compile, []

    def traced(call, **options):
        asked.append(options)
        return original(call, backend="eager")

    monkeypatch.setattr(torch, "compile", traced)
    yield asked
    torch.compiler.reset()


def test_all_student_blocks_are_compiled(without_code_generation):
    objective = build_objective(small_trial(), num_classes=3)
    names = list(objective.module.state_dict())
    assert compile_blocks(objective.network("student")) == 3
    blocks = objective.network("student").vit.blocks
    assert [compiled(block) for block in blocks] == [True, True, True]
    assert not any(compiled(m) for m in objective.network("teacher").modules())
    assert not any(compiled(m) for m in copy.deepcopy(blocks).modules())
    assert list(objective.module.state_dict()) == names
    assert without_code_generation == [{"options": {"fallback_random": True}}] * 3


# Dynamo's own look at .grad of what the block before has made.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize(
    "timm_model", ["vit_tiny_patch16_224", "beit_base_patch16_224"]
)
def test_the_step_stays_the_same(without_code_generation, timm_model):
    changes = {"vision": {"timm_model": timm_model, "dropout": 0.1, "drop_path": 0.3}}
    images, found = torch.randn(4, 1, 8, 8), []
    for compile_them in (False, True):
        objective = build_objective(small_trial(changes), num_classes=3)
        if compile_them:
            compile_blocks(objective.network("student"))
        objective.module.train()
        torch.manual_seed(0)
        result = update(objective, images, torch.zeros(4), 1)
        result.loss.backward()
        grads = [p.grad for p in objective.module.parameters() if p.grad is not None]
        found.append((result.loss.detach(), nn.utils.get_total_norm(grads)))
    torch.testing.assert_close(found[1], found[0])


def test_it_is_about_how_fast_only():
    fast = {"execution": {"compile": True, "prefetch": 2}}
    assert small_trial(fast).execution.compile
    assert parse_trial(small_trial(fast).model_dump(mode="json")) == small_trial(fast)
