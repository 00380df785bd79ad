"""Variants the paper speaks of: a head for each layer, and the variance term."""

import pytest
import torch

from ablations.identity import trial_key
from d2v_core.build import build_objective
from d2v_core.costs import estimate_cost
from d2v_core.objectives.parts.losses import variance_hinge
from d2v_core.training.parallel import ALONE
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.updates import top_layers, update

SEPARATE = {"target": {"combine": "separate", "top_k": 2}}
PLAIN = {"target": {"layer_norm": "instance", "final_norm": "layer"}}


def built(*changes):
    made = build_objective(small_trial(*changes), num_classes=3)
    fill_with_noise(made.module)
    fill_with_noise(made.teacher.network, seed=1)
    return made


def images():
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def standardised(values, axis):
    mean = values.mean(dim=axis, keepdim=True)
    variance = values.var(dim=axis, keepdim=True, correction=0)
    return (values - mean) / torch.sqrt(variance + 1e-5)


def test_separate_heads_give_the_mean_of_the_losses_of_each_layer():
    made, pixels = built(SEPARATE, PLAIN, {"loss": {"kind": "l2"}}), images()
    draw = made.draw(pixels, 1)
    loss = made.loss(pixels, None, draw, 1).loss
    tokens = made.student(pixels, draw.mask)[draw.mask]
    layers = top_layers(made.teacher.network, pixels, feature="block", top_k=2)
    heads = made.module["head"].heads
    assert len(heads) == 2
    losses = [
        (head(tokens) - standardised(standardised(layer, 1), 2)[draw.mask])
        .square()
        .mean()
        for head, layer in zip(heads, layers, strict=True)
    ]
    torch.testing.assert_close(loss, sum(losses) / 2, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, "sum"])
def test_with_one_layer_both_are_the_same(scale):
    one = {"target": {"top_k": 1}, "loss": {"kind": "l2", "scale": scale}}
    losses = []
    for combine in ("average", "separate"):
        made = built(one, {"target": {"combine": combine}})
        losses.append(update(made, images(), None, 1).loss)
    torch.testing.assert_close(*losses)


def test_the_hinge_is_vicregs():
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.2
    expected = torch.relu(0.5 - torch.sqrt(rows.var(dim=0) + 1e-4)).mean()
    torch.testing.assert_close(variance_hinge(rows, 0.5, ALONE), expected)
    spread = 3.0 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    assert float(variance_hinge(spread, 0.5, ALONE)) == 0.0


def test_the_hinge_is_added_with_its_weight():
    losses = [
        update(
            built({"objective": {"kind": "data2vec", "variance_weight": weight,
                                 "variance_margin": 5.0}}),  # fmt: skip
            images(), None, 1,
        ).loss
        for weight in (0.0, 1.0, 2.0)
    ]  # fmt: skip
    assert losses[1] > losses[0]
    torch.testing.assert_close(losses[2] - losses[0], 2 * (losses[1] - losses[0]))


def test_the_defaults_keep_every_key():
    written = {
        "objective": {"kind": "data2vec", "variance_weight": 0.0},
        "target": {"combine": "average"},
    }
    assert trial_key(small_trial(written), "d") == trial_key(small_trial(), "d")
    assert trial_key(small_trial(SEPARATE), "d") != trial_key(small_trial(), "d")


def test_every_head_is_counted():
    one, two = (
        estimate_cost(small_trial(SEPARATE, {"target": {"top_k": k}})) for k in (1, 3)
    )
    assert two.update_flops > one.update_flops
