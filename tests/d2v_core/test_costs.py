"""Operations and memory against formulas written out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ablations.layers import Layer, resolve, set_layer
from ablations.library import read_recipe
from d2v_core import costs
from d2v_core.build import build_objective
from d2v_core.config import parse_trial
from d2v_core.costs import KeptForBackward, estimate_cost, flop_counter
from d2v_core.modalities.modality import Modality
from d2v_core.modalities.vision import MODALITY as VISION
from d2v_core.trial import run_trial
from tests.d2v_core.small import small_dataset, small_trial

TOKENS, DIM, DEPTH, HIDDEN, HEADS = 197, 768, 12, 3072, 12
"""ViT-B/16 at 224 pixels: 14 x 14 patches and the class token."""


def paper(**changes):
    dotted = {path.replace("__", "."): value for path, value in changes.items()}
    layers = [Layer.from_yaml(read_recipe("vision-paper")), set_layer(dotted)]
    return resolve("vision", layers)


def block_flops(tokens):
    """Projections and feed-forward part, then queries x keys and weights x values."""
    linear = tokens * (4 * DIM**2 + 2 * DIM * HIDDEN)
    return 2 * (linear + 2 * tokens**2 * DIM)


PATCH_EMBEDDING = 2 * 196 * (3 * 16 * 16) * DIM


def test_patches_of_a_waveform_cost_one_matrix_product():
    """Beside the Transformer, which reads 100 frames either way."""

    def counted(front_end, seconds):
        settings = {"front_end": front_end, "width": 64, "depth": 1, "num_heads": 4}
        waveform = {"min_seconds": 1.0, "max_seconds": seconds}
        trial = {"modality": "speech", "speech": settings, "waveform": waveform}
        return estimate_cost(parse_trial({**trial, "target": {"top_k": 1}}))

    # A window of log mel is 25 ms long: its 100 frames need 5 ms more.
    patches = counted({"kind": "patches", "patch_samples": 320}, 2.0)
    log_mel = counted({"kind": "log_mel", "num_mels": 80}, 2.005)
    product = 2 * 100 * (320 - 80) * 64
    assert patches.forward_flops - log_mel.forward_flops == product
    # Student forward, its weight's gradient (waveforms need none), teacher forward.
    updates = patches.update_flops - log_mel.update_flops
    assert updates == 3 * product * patches.batch_size


def test_the_papers_encoder_has_the_parameters_counted_by_hand():
    block = (
        (3 * DIM * DIM + 2 * DIM)  # queries, keys and values; keys have no bias
        + (DIM * DIM + DIM)
        + (DIM * HIDDEN + HIDDEN)
        + (HIDDEN * DIM + DIM)
        + 4 * DIM  # two norms
        + 2 * DIM  # two layer scales
    )
    positions = ((2 * 14 - 1) ** 2 + 3) * HEADS  # one table for all blocks
    patches = 3 * 16 * 16 * DIM + DIM
    by_hand = DEPTH * block + positions + patches + 2 * DIM + 2 * DIM
    # ... and the norm's two vectors, class and mask token.
    with torch.device("meta"):
        objective = build_objective(paper(), num_classes=0)
    encoder = objective.network("student")
    assert sum(p.numel() for p in encoder.parameters()) == by_hand == 85_666_128
    assert sum(p.numel() for p in objective.module["head"].parameters()) == DIM**2 + DIM
    assert {p.device.type for p in objective.module.parameters()} == {"meta"}
    assert estimate_cost(paper()).num_parameters == by_hand


def test_a_forward_pass_of_vit_b_is_the_formula():
    by_hand = PATCH_EMBEDDING + DEPTH * block_flops(TOKENS)
    assert estimate_cost(paper()).forward_flops == by_hand
    assert by_hand == pytest.approx(35.1e9, rel=0.01)  # the known 17.6 G multiply-adds


def test_a_supervised_update_is_three_forward_passes_less_the_images_gradient():
    cost = estimate_cost(paper(objective__kind="supervised"))
    by_hand = 3 * DEPTH * block_flops(TOKENS) + 2 * PATCH_EMBEDDING
    assert cost.update_flops / 2048 == pytest.approx(by_hand, rel=1e-6)


def test_a_data2vec_update_is_the_student_three_times_and_the_teacher_once():
    """The head runs at the masked positions, 120 of 196 at most."""
    student = 3 * DEPTH * block_flops(TOKENS) + 2 * PATCH_EMBEDDING
    teacher = DEPTH * block_flops(TOKENS) + PATCH_EMBEDDING
    head = 3 * 2 * 120 * DIM**2
    by_hand = student + teacher + head
    for layer_norm in ("instance", "layer"):
        cost = estimate_cost(paper(target__layer_norm=layer_norm))
        assert cost.update_flops / 2048 == pytest.approx(by_hand, rel=1e-3)


def test_the_whole_training_is_every_update_and_nothing_for_an_untrained_arm():
    cost = estimate_cost(paper())
    assert (cost.num_updates, cost.batch_size) == (500_000, 2048)
    assert cost.flops == 500_000 * cost.update_flops
    assert cost.flops == pytest.approx(1.44e20, rel=0.01)
    assert estimate_cost(paper(objective__kind="untrained")).flops == 0


def test_weights_gradients_moments_and_teacher_are_floats():
    small = estimate_cost(small_trial({"training": {"batch_size": 2}}))
    large = estimate_cost(small_trial({"training": {"batch_size": 4}}))
    fixed = 2 * small.memory_bytes - large.memory_bytes  # without activations
    head = 16 * 16 + 16
    trained = small.num_parameters + head
    assert fixed == 16 * trained + 4 * small.num_parameters
    alone = [
        estimate_cost(
            small_trial(
                {"objective": {"kind": "supervised"}, "training": {"batch_size": n}}
            )
        )
        for n in (2, 4)
    ]
    fixed = 2 * alone[0].memory_bytes - alone[1].memory_bytes
    assert fixed == 16 * (small.num_parameters + 2 * 16 + 2)


@pytest.mark.parametrize("num_masks", [1, 8])
def test_data2vec_2_costs_a_teacher_pass_and_the_kept_share_of_each_mask(num_masks):
    """ViT-B with its published decoder: 39 of 196 patches are kept."""
    trial = paper(
        objective__kind="data2vec2",
        objective__num_masks=num_masks,
        mask__kind="inverse_block",
        mask__ratio=0.8,
        vision__shared_relative_position=False,
        vision__timm_model="vit_base_patch16_224",
        vision__layer_scale=None,
    )
    cost = estimate_cost(trial)
    whole, kept, hidden = TOKENS, 39 + 1, 196 - 39
    convolutions = 6 * 2 * 196 * DIM * (DIM // 16) * 9
    decoder = convolutions + 2 * hidden * DIM**2
    student = DEPTH * block_flops(kept) + decoder
    teacher = DEPTH * block_flops(whole) + PATCH_EMBEDDING
    by_hand = teacher + 3 * num_masks * student + 2 * PATCH_EMBEDDING
    per_sample = cost.update_flops / cost.batch_size
    assert per_sample == pytest.approx(by_hand, rel=0.01)
    assert cost.forward_flops == pytest.approx(teacher, rel=1e-6)


def test_what_is_kept_for_backward_is_what_autograd_really_keeps():
    """Two linear layers around a GELU: input of each product, input of the GELU."""
    first, second = nn.Linear(8, 32), nn.Linear(32, 8)
    weights = [*first.parameters(), *second.parameters()]
    inputs = torch.randn(5, 8, requires_grad=True)
    with KeptForBackward(weights) as kept:
        second(F.gelu(first(inputs))).sum().backward()
    assert kept.num_bytes == 4 * 5 * (8 + 32 + 32)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_keeps_queries_keys_and_values_but_no_weights(device):
    qkv = torch.randn(2, 50, 3, 4, 8, device=device, requires_grad=True)
    with KeptForBackward([]) as kept:
        query, key, value = qkv.mul(2.0).permute(2, 0, 3, 1, 4)
        F.scaled_dot_product_attention(query, key, value).sum().backward()
    assert kept.num_bytes == 4 * qkv.numel()


def test_what_runs_without_gradients_keeps_nothing():
    """As the teacher does; memory that is free again can be given to another tensor."""
    qkv = torch.randn(3, 2, 4, 50, 8, device="meta", requires_grad=True)
    with KeptForBackward([]) as kept, torch.no_grad():
        F.scaled_dot_product_attention(*qkv)
    assert kept.num_bytes == 0


def test_counting_again_counts_the_same():
    found = []
    for _ in range(3):
        costs._count.cache_clear()
        found.append(estimate_cost(small_trial()))
    assert found[0] == found[1] == found[2]


def test_the_student_keeps_as_much_as_a_supervised_network_and_little_more():
    data2vec = estimate_cost(paper())
    supervised = estimate_cost(paper(objective__kind="supervised"))
    teacher = 4 * data2vec.num_parameters
    ratio = (data2vec.memory_bytes - teacher) / supervised.memory_bytes
    assert 1 < ratio < 1.02


def test_activations_of_vit_b_are_eighteen_widths_per_token_and_block():
    """Per token: norms' inputs and outputs 4, queries, keys, values 3, attention 1,
    two branches before layer scale 2, feed-forward part 4 before and 4 after GELU, of
    768 floats; without dropout.
    """
    still = {"vision__drop_path": 0.0, "vision__attention_dropout": 0.0}
    common = {
        "objective__kind": "supervised",
        "training__precision": "float32",
        **still,
    }
    one, two = (
        estimate_cost(paper(**common, training__batch_size=n)).memory_bytes
        for n in (2, 4)
    )
    by_hand = 4 * TOKENS * DIM * 18 * DEPTH
    assert (two - one) / 2 == pytest.approx(by_hand, rel=0.05)


@pytest.mark.parametrize("groups", [1, 4, 16])
def test_a_convolutions_gradients_cost_as_much_as_its_output_each(groups):
    inputs = torch.randn(2, 64, 100, device="meta", requires_grad=True)
    layer = nn.Conv1d(64, 64, 5, padding=2, groups=groups, device="meta")
    with flop_counter() as forward:
        output = layer(inputs)
    assert forward.get_total_flops() == 2 * 2 * 100 * 64 * (64 // groups) * 5
    with flop_counter() as backward:
        output.sum().backward()
    assert backward.get_total_flops() == 2 * forward.get_total_flops()
    with flop_counter() as images:  # nothing flows back into data
        layer(inputs.detach()).sum().backward()
    assert images.get_total_flops() == 2 * forward.get_total_flops()


def test_bfloat16_keeps_less_and_computes_as_much():
    mixed = estimate_cost(paper())
    exact = estimate_cost(paper(training__precision="float32"))
    assert mixed.update_flops == exact.update_flops
    assert 0.5 < mixed.memory_bytes / exact.memory_bytes < 0.7


def test_arms_that_cost_alike_are_counted_once():
    costs._count.cache_clear()
    for k in range(1, 13):
        estimate_cost(paper(target__top_k=k, seed=k, teacher__tau__value=0.9))
    assert costs._count.cache_info().misses == 1


def test_counting_needs_no_data_and_leaves_no_trace():
    state = torch.get_rng_state()
    estimate_cost(small_trial({"data": {"source": "imagenet", "root": "/nowhere"}}))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_example_is_shaped_like_a_batch():
    trial = small_trial()
    batch, _ = VISION.batches(trial, small_dataset())(1)
    example = VISION.example(trial, trial.training.batch_size)
    assert (example.shape, example.dtype) == (batch.shape, batch.dtype)


def test_a_modality_without_an_example_has_no_cost(monkeypatch):
    costs._count.cache_clear()
    monkeypatch.setattr(type(VISION), "example", Modality.example)
    assert estimate_cost(small_trial()) is None
    costs._count.cache_clear()


def test_texts_encoder_is_counted_too():
    trial = parse_trial({"modality": "text"})
    tokens, dim = trial.text.max_tokens, trial.text.width
    block = tokens * (4 * dim**2 + 8 * dim**2) + 2 * tokens**2 * dim
    cost = estimate_cost(trial)
    assert cost.forward_flops == 2 * trial.text.depth * block
    # Student forward and backward, teacher forward, head at the masked positions.
    assert 4 < cost.update_flops / cost.batch_size / cost.forward_flops < 4.1


def test_speechs_encoder_is_counted_too():
    trial = parse_trial({"modality": "speech"})
    cost = estimate_cost(trial)
    # wav2vec 2.0 Base: 12 blocks and the convolutions below them, 12.3 s at 50 Hz.
    frames, dim = 614, 768
    blocks = 2 * 12 * (frames * 12 * dim**2 + 2 * frames**2 * dim)
    assert 1.2 * blocks < cost.forward_flops < 2.0 * blocks
    supervised = parse_trial(
        {"modality": "speech", "objective": {"kind": "supervised"}}
    )
    update = estimate_cost(supervised)
    per_sample = update.update_flops / update.batch_size
    assert per_sample == pytest.approx(3 * cost.forward_flops, rel=0.01)


def test_the_counted_parameters_are_those_of_the_trial_that_runs():
    started = next(run_trial(small_trial(), dataset=small_dataset()))
    assert started.num_parameters == estimate_cost(small_trial()).num_parameters
