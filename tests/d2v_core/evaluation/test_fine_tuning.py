"""The common loop of fine-tuning, on a ViT and on our Transformer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from d2v_core.build import build_encoder
from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.encoders.encoder import Tokens
from d2v_core.encoders.sequence import SequenceEncoder
from d2v_core.encoders.transformer import Transformer
from d2v_core.evaluation.fine_tuning import (
    fine_tune_best,
    layer_of,
    parameter_groups,
    trainable_copy,
)
from d2v_core.objectives.parts.teacher import EmaTeacher
from tests.d2v_core.small import small_trial

BEIT = {
    "vision": {
        "timm_model": "beit_base_patch16_224",
        "shared_relative_position": True,
        "layer_scale": 0.1,
    }
}
SINCOS = {"vision": {"positions": "sincos"}}


class Words(SequenceEncoder):
    """Our Transformer behind an embedding of eight symbols."""

    def __init__(self, norm="pre"):
        blocks = Transformer(dim=8, depth=2, num_heads=2, ffn_dim=8, norm=norm)
        super().__init__(blocks, dim=8)
        self.embedding = nn.Embedding(8, 8)
        self.front = nn.ModuleDict({"norm": nn.LayerNorm(8)})

    def embed(self, inputs):
        return Tokens(self.front["norm"](self.embedding(inputs)))

    def placed(self, tokens, mask, keep):
        return tokens.values


def config(**changes):
    options = {"num_steps": 4, "learning_rates": (0.01,), "warmup": 0}
    return FineTuningConfig(**(options | changes))


def scales(encoder, head, settings):
    """Learning-rate factor and weight decay of every parameter, by name."""
    named = [*encoder.named_parameters(), *head.named_parameters(prefix="head")]
    of = {id(parameter): name for name, parameter in named}
    return {
        of[id(parameter)]: (group["scale"], group["weight_decay"])
        for group in parameter_groups(encoder, head, settings)
        for parameter in group["params"]
    }


def test_a_vits_groups_are_beits():
    encoder, head = build_encoder(small_trial(BEIT)), nn.Linear(16, 3)
    found = scales(encoder, head, config(layer_decay=0.65, weight_decay=0.05))
    # data2vec_vision: 0.65 ** (depth + 1 - i); vectors, tokens and tables not decayed.
    top, third, second, first, below = (0.65**i for i in range(5))
    expected = {
        "mask_token": (below, 0.0),
        "vit.cls_token": (below, 0.0),
        "vit.patch_embed.proj.weight": (below, 0.05),
        "vit.patch_embed.proj.bias": (below, 0.0),
        "vit.rel_pos_bias.relative_position_bias_table": (top, 0.0),
        "vit.norm.weight": (top, 0.0),
        "vit.norm.bias": (top, 0.0),
        "head.weight": (1.0, 0.05),
        "head.bias": (1.0, 0.0),
    }
    for i, scale in enumerate((first, second, third)):
        for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
            expected[f"vit.blocks.{i}.{name}.weight"] = (scale, 0.05)
            if name != "attn.qkv":
                expected[f"vit.blocks.{i}.{name}.bias"] = (scale, 0.0)
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            expected[f"vit.blocks.{i}.{name}"] = (scale, 0.0)
        for name in ("gamma_1", "gamma_2", "attn.q_bias", "attn.v_bias"):
            expected[f"vit.blocks.{i}.{name}"] = (scale, 0.0)
    assert found == expected


def test_our_transformers_groups_follow_the_same_rule():
    encoder, head = Words(), nn.Linear(8, 3)
    settings = config(layer_decay=0.5, head_learning_rate_factor=10.0)
    found = {
        name: scale for name, (scale, _) in scales(encoder, head, settings).items()
    }
    for name, scale in found.items():
        if name.startswith("head."):
            assert scale == 10.0
        elif name.startswith("transformer.norm."):
            assert scale == 1.0
        elif name.startswith("transformer.blocks.1."):
            assert scale == 0.5
        elif name.startswith("transformer.blocks.0."):
            assert scale == 0.25
        else:  # the embedding, and the norm of the features
            assert scale == 0.125
    assert layer_of("front.norm.weight", encoder) == 0
    assert len(found) == sum(1 for _ in encoder.parameters()) + 2


def test_without_layer_decay_everything_learns_alike():
    groups = parameter_groups(Words(), nn.Linear(8, 3), config(weight_decay=0.1))
    found = {(group["scale"], group["weight_decay"]) for group in groups}
    assert found == {(1.0, 0.0), (1.0, 0.1)}
    assert len(groups) == 2


def test_a_teachers_copy_is_trained_except_for_what_is_fixed():
    student = build_encoder(small_trial(SINCOS))
    teacher = EmaTeacher(student).network
    copied = trainable_copy(teacher)
    frozen = [n for n, p in copied.named_parameters() if not p.requires_grad]
    assert frozen == ["vit.pos_embed"]
    assert not any(p.requires_grad for p in teacher.parameters())
    groups = parameter_groups(copied, nn.Linear(16, 3), config())
    grouped = {id(p) for group in groups for p in group["params"]}
    assert id(copied.vit.pos_embed) not in grouped


INPUTS = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 0], [1, 3, 5]])
LABELS = torch.tensor([0, 1, 2, 0])


class Task:
    """Classify four sequences; remembers every network it was given."""

    def __init__(self, spy=lambda network, head, step: None, scores=None):
        self.networks, self.spy, self.scores = [], spy, scores

    def build(self, network):
        head = nn.Linear(8, 3)
        self.networks.append((network, head))

        def loss_of(step):
            self.spy(network, head, step)
            return F.cross_entropy(head(network(INPUTS).mean(dim=1)), LABELS)

        return head, loss_of

    def score(self, network, head):
        if self.scores is not None:
            return self.scores[len(self.networks) - 1]
        return -float(F.cross_entropy(head(network(INPUTS).mean(dim=1)), LABELS))


def tune(encoder, task=None, *, seed=0, **changes):
    task = task or Task()
    return fine_tune_best(encoder, task.build, task.score, config(**changes), seed=seed)


def parameters_of(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_it_learns_and_the_source_encoder_stays_as_it_is():
    encoder = Words().eval()
    before = parameters_of(encoder)
    tuned = tune(encoder, num_steps=60)
    assert tuned.score > -0.1
    assert same(parameters_of(encoder), before)
    assert not same(parameters_of(tuned.encoder), before)
    assert not encoder.training
    assert not tuned.encoder.training
    assert not tuned.head.training
    assert all(p.grad is None for p in encoder.parameters())


def test_it_depends_on_the_seed_alone():
    encoder = Words()
    encoder.transformer.blocks[0].dropout.p = 0.5

    def weights(seed):
        torch.manual_seed(int(np.random.default_rng().integers(1000)))
        tuned = tune(encoder, seed=seed)
        return parameters_of(tuned.encoder) | parameters_of(tuned.head)

    first = weights(0)
    assert same(weights(0), first)
    assert not same(weights(1), first)


def test_while_frozen_only_the_head_moves():
    moved = {}

    def spy(network, head, step):
        moved[step] = (parameters_of(network), parameters_of(head))

    encoder = Words()
    before = parameters_of(encoder)
    tune(encoder, Task(spy), num_steps=6, freeze=3, weight_decay=0.1)
    # A spy of update n sees what updates 1 to n - 1 have done.
    for step in (1, 2, 3, 4):
        assert same(moved[step][0], before)
    assert not same(moved[5][0], before)
    for step in (2, 3, 4):
        assert not same(moved[step][1], moved[step - 1][1])


def test_the_rate_with_the_best_validation_score_wins_and_edges_are_noted():
    scores = [0.3, 0.7, 0.5]
    task = Task(scores=scores)
    tuned = tune(Words(), task, learning_rates=(0.1, 0.001, 0.01))
    assert (tuned.learning_rate, tuned.score, tuned.on_edge) == (0.01, 0.7, False)
    assert tuned.encoder is task.networks[1][0]
    low = tune(Words(), Task(scores=[1.0, 0.0, 0.0]), learning_rates=(0.1, 0.001, 0.01))
    assert (low.learning_rate, low.on_edge) == (0.001, True)
    tied = tune(Words(), Task(scores=[1.0, 1.0]), learning_rates=(0.1, 0.01))
    assert tied.learning_rate == 0.01
    alone = tune(Words(), Task(scores=[1.0]), learning_rates=(0.1,))
    assert not alone.on_edge


def test_every_rate_starts_from_the_same_encoder_and_head():
    starts = []

    def spy(network, head, step):
        if step == 1:
            starts.append(parameters_of(network) | parameters_of(head))

    tune(Words(), Task(spy), learning_rates=(0.01, 0.1))
    assert len(starts) == 2
    assert same(*starts)


def test_updates_follow_the_schedule_by_layer():
    """Adam's first update is the learning rate itself, wherever a gradient is."""
    encoder, task = Words(), Task()
    before = parameters_of(encoder)
    tune(encoder, task, num_steps=1, layer_decay=0.5, decay="constant")
    network = task.networks[0][0]
    for name, scale in (("blocks.1", 0.5), ("blocks.0", 0.25)):
        key = f"transformer.{name}.fc2.weight"
        moved = (parameters_of(network)[key] - before[key]).abs().max()
        assert float(moved) == pytest.approx(0.01 * scale, rel=1e-3)


def test_stochastic_depth_and_dropout_are_active_while_training():
    """A block that drop path always skips gets no gradient through its branches."""
    encoder = Words()
    for block in encoder.transformer.blocks:
        block.drop_path = 1.0 - 1e-9
    encoder.eval()
    before = parameters_of(encoder)
    tuned = tune(encoder, num_steps=3)
    after = parameters_of(tuned.encoder)
    for name in before:
        if ".fc1." in name or ".qkv." in name:
            assert torch.equal(after[name], before[name]), name
    assert not torch.equal(after["embedding.weight"], before["embedding.weight"])


def test_clipping_is_to_the_global_norm_of_encoder_and_head(monkeypatch):
    seen = []
    original = nn.utils.clip_grad_norm_

    def clip(parameters, max_norm):
        seen.append((len(parameters), max_norm))
        return original(parameters, max_norm)

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip)
    encoder = Words()
    tune(encoder, num_steps=2, max_grad_norm=5.0)
    assert seen == [(sum(1 for _ in encoder.parameters()) + 2, 5.0)] * 2
