"""Five updates from weights and images without randomness: nothing drifts unseen."""

import numpy as np
import pytest
import torch

from d2v_core.build import build_objective
from tests.d2v_core.golden import five_losses
from tests.d2v_core.small import fill_with_ramp, small_trial

GOLDEN = {
    "vit": [0.33284158, 0.32952011, 0.32429931, 0.32269216, 0.32269984],
    "beit": [1.0323967, 1.0227129, 1.0245013, 1.0209315, 1.0197022],
    "data2vec2": [5.4524732, 4.8710532, 4.9477711, 4.9227381, 4.689527],
    "supervised": [1.075201, 1.0743573, 1.0736425, 1.073216, 1.0730919],
}
CHANGES = {
    "vit": {},
    "beit": {
        "vision": {
            "timm_model": "beit_base_patch16_224",
            "shared_relative_position": True,
            "layer_scale": 0.1,
        },
        "target": {"feature": "ffn", "layer_norm": "instance"},
        "loss": {"kind": "l2"},
        "head": {"depth": 2},
    },
    "data2vec2": {
        "objective": {
            "kind": "data2vec2",
            "num_masks": 3,
            "noise_std": 0.0,  # of torch's generator
            "decoder": {"width": 16, "depth": 2, "groups": 4},
        },
        "mask": {"kind": "inverse_block", "block": 2},
        "target": {"feature": "ffn", "layer_norm": "instance"},
        "loss": {"kind": "l2", "scale": "inverse_sqrt_dim"},
    },
    "supervised": {"objective": {"kind": "supervised", "label_smoothing": 0.1}},
}


def batch(step):
    pixels = (np.arange(4 * 64) * 37 + 11 * step) % 101 / 50.0 - 1.0
    images = torch.from_numpy(pixels).float().view(4, 1, 8, 8)
    return images, torch.arange(4) % 3


@pytest.mark.parametrize("name", GOLDEN)
def test_losses_of_five_updates_are_the_golden_ones(name):
    trial = small_trial(CHANGES[name], {"optimizer": {"learning_rate": 1e-3}})
    objective = build_objective(trial, num_classes=3)
    fill_with_ramp(objective.module)
    if name != "supervised":
        fill_with_ramp(objective.network("teacher"))
    losses = five_losses(trial, objective, batch)
    assert losses == pytest.approx(GOLDEN[name], rel=1e-5)
