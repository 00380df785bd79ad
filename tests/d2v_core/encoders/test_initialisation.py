"""Statistics of the initial weights, derived here from what the references draw."""

import math

import pytest
import timm
import torch
from torch import nn

from d2v_core.build import build_encoder, build_objective
from d2v_core.randomness import global_torch_seed
from tests.d2v_core.small import small_trial

CUT = 0.02
"""Standard deviation of the normal, and where the reference cuts it."""


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


KEPT = math.erf(1 / math.sqrt(2))
"""Share of a normal within one standard deviation."""
STD = CUT * math.sqrt(1 - 2 * density(1) / KEPT)
"""Standard deviation of what is left: 0.0108."""
WITHIN_HALF = math.erf(0.5 / math.sqrt(2)) / KEPT
"""Share of what is left within half the cut: 0.561; of a uniform it would be 0.5."""

SIZES = {"width": 64, "depth": 4, "num_heads": 4}
MODELS = {
    "vit": {"timm_model": "vit_tiny_patch16_224"},
    "vit with layer scale": {"timm_model": "vit_tiny_patch16_224", "layer_scale": 0.25},
    "vit with registers": {
        "timm_model": "vit_medium_patch16_reg4_gap_256",
        "layer_scale": 0.25,
    },
    "distilled deit": {"timm_model": "deit_tiny_distilled_patch16_224"},
    "beit": {"timm_model": "beit_base_patch16_224", "layer_scale": 0.25},
    "beit with a shared table": {
        "timm_model": "beit_base_patch16_224",
        "shared_relative_position": True,
        "layer_scale": 0.25,
    },
}


def trial(model, *changes):
    return small_trial({"vision": SIZES | MODELS[model]}, *changes)


def parameters(model):
    named = build_encoder(trial(model)).named_parameters()
    return {name: parameter.detach() for name, parameter in named}


def block_of(name):
    """Number of the block, from 1."""
    return int(name.split("blocks.")[1].split(".")[0]) + 1


def is_rescaled(name):
    return name.endswith(("attn.proj.weight", "mlp.fc2.weight"))


def is_drawn(name, parameter):
    token_or_position = name.removeprefix("vit.") in (
        "mask_token",
        "cls_token",
        "reg_token",
        "dist_token",
        "pos_embed",
    )
    is_matrix = name.endswith("weight") and parameter.ndim > 1
    return is_matrix or token_or_position


def assert_cut_normal(values, cut):
    """Within five standard errors, of a normal cut at its own standard deviation."""
    values, std = values.flatten().double() / cut, STD / CUT
    count = values.numel()
    fourth = (std**2 * 3) - 2 * density(
        1
    ) / KEPT  # by parts: E x^4 = 3 E x^2 - 2 f(1)/P
    error = math.sqrt((fourth - std**4) / count) / (2 * std)
    assert float(values.abs().max()) <= 1.0 + 1e-6
    assert float(values.mean()) == pytest.approx(0.0, abs=5 * std / math.sqrt(count))
    assert float(values.square().mean().sqrt()) == pytest.approx(std, abs=5 * error)
    share = float((values.abs() < 0.5).double().mean())
    spread = math.sqrt(WITHIN_HALF * (1 - WITHIN_HALF) / count)
    assert share == pytest.approx(WITHIN_HALF, abs=5 * spread)


def test_the_number_the_reference_was_measured_at():
    assert pytest.approx(0.0108, abs=5e-5) == STD


@pytest.mark.parametrize("model", MODELS)
def test_every_matrix_and_token_is_the_references_cut_normal(model):
    drawn = {n: p for n, p in parameters(model).items() if is_drawn(n, p)}
    for name, parameter in drawn.items():
        cut = CUT / math.sqrt(2 * block_of(name)) if is_rescaled(name) else CUT
        assert_cut_normal(parameter, cut)
    assert sum(map(is_rescaled, drawn)) == 2 * SIZES["depth"]
    token = "vit.reg_token" if "registers" in model else "vit.cls_token"
    assert {"mask_token", "vit.patch_embed.proj.weight", token} <= set(drawn)
    assert ("vit.pos_embed" in drawn) == ("beit" not in model)


@pytest.mark.parametrize("model", MODELS)
def test_all_that_is_not_drawn_starts_at_its_constant(model):
    """Biases and tables 0, norms 1, layer scale as configured; nothing is left over."""
    rest = {n: p for n, p in parameters(model).items() if not is_drawn(n, p)}
    constants = set()
    for name, parameter in rest.items():
        last = name.rpartition(".")[2]
        if "norm" in name and last == "weight":
            expected = 1.0
        elif last.startswith("gamma"):
            expected = MODELS[model]["layer_scale"]
        else:
            assert last.endswith("bias") or last == "relative_position_bias_table", name
            expected = 0.0
        assert torch.equal(parameter, torch.full_like(parameter, expected)), name
        constants.add(expected)
    assert constants == {0.0, 1.0, *filter(None, [MODELS[model].get("layer_scale")])}


def test_two_matrices_of_a_block_shrink_with_the_root_of_its_number():
    named = parameters("beit")
    for part in ("attn.proj", "mlp.fc2"):
        stds = [float(named[f"vit.blocks.{i}.{part}.weight"].std()) for i in range(4)]
        ratios = [stds[0] / std for std in stds]
        assert ratios == pytest.approx([math.sqrt(i) for i in (1, 2, 3, 4)], rel=0.05)
        assert stds[0] == pytest.approx(STD / math.sqrt(2), rel=0.05)


def test_fixed_positions_stay():
    """timm's table of sines and cosines is no weight."""
    fixed = {"vision": {"positions": "sincos"}}
    tables = [
        build_encoder(trial("vit", fixed, {"vision": {"init": init}})).vit.pos_embed
        for init in ("reference", "timm")
    ]
    assert torch.equal(*tables)
    assert float(tables[0].max()) == 1.0


@pytest.mark.parametrize("model", MODELS)
def test_timms_own_weights_are_timms_bit_by_bit(model):
    """The oracle is timm without any of our code, from the same seed."""
    given = MODELS[model]
    is_beit = "beit" in model
    options = {"init_values": given["layer_scale"]} if "layer_scale" in given else {}
    if "shared_relative_position" in given:
        options |= {"use_shared_rel_pos_bias": True, "use_rel_pos_bias": False}
    options |= {"global_pool": "token"} if is_beit else {"fc_norm": False}
    with global_torch_seed(3, "encoder"):
        vit = timm.create_model(
            given["timm_model"],
            img_size=8,
            patch_size=2,
            in_chans=1,
            num_classes=0,
            embed_dim=64,
            depth=4,
            num_heads=4,
            mlp_ratio=2.0,
            **options,
            **({} if is_beit else {"final_norm": True}),
        )
        mask_token = nn.init.trunc_normal_(torch.zeros(64), std=0.02)
    ours = build_encoder(trial(model, {"vision": {"init": "timm"}}))
    assert torch.equal(ours.mask_token, mask_token)
    theirs, found = vit.state_dict(), ours.vit.state_dict()
    assert theirs.keys() == found.keys()
    for name, tensor in theirs.items():
        assert torch.equal(found[name], tensor), name


def test_the_two_choices_differ_as_much_as_was_measured():
    reference = parameters("beit")["vit.blocks.0.attn.qkv.weight"]
    wide = build_encoder(trial("beit", {"vision": {"init": "timm"}}))
    ratio = float(wide.vit.blocks[0].attn.qkv.weight.detach().std() / reference.std())
    assert ratio == pytest.approx(1.86, abs=0.05)


@pytest.mark.parametrize("init", ["reference", "timm"])
@pytest.mark.parametrize(
    "change",
    [
        {"objective": {"kind": "untrained"}},
        {"objective": {"kind": "supervised"}},
        {"head": {"init": "timm", "depth": 2}, "target": {"top_k": 1}},
    ],
)
def test_all_arms_of_a_seed_start_alike_with_either_choice(init, change):
    chosen = {"vision": {"init": init}}
    one, two = (
        build_objective(trial("vit", chosen, *more), num_classes=3).network("student")
        for more in ((), (change,))
    )
    for (name, a), (_, b) in zip(
        one.state_dict().items(), two.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
