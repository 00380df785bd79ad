"""Masked input regression: Hugging Face's ViTMAEForPreTraining is MAE's oracle."""

import numpy as np
import pytest
import torch
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from d2v_core.build import build_objective, build_on_meta, check_buildable
from d2v_core.config import parse_trial
from d2v_core.config.baselines import TransformerDecoder
from d2v_core.errors import ConfigError
from d2v_core.objectives.parts.decoder import line_positions
from d2v_core.objectives.pixels import MaskedPieces, decoder_sizes, standardised
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.small_objectives import SMALL_DECODER, objective
from tests.d2v_core.small_speech import LOG_MEL, noise, small_speech_trial

MAE = {
    **objective("pixels", **SMALL_DECODER),
    "vision": {"positions": "sincos", "channels": 3},
    "mask": {"kind": "random", "ratio": 0.75},
}
SIMMIM = {
    **objective(
        "pixels", decoder={"kind": "linear"}, piece_norm="none", distance="absolute"
    ),
    "mask": {"kind": "random", "ratio": 0.6},
}


def built(*changes):
    made = build_objective(small_trial(*changes), num_classes=3)
    assert isinstance(made, MaskedPieces)
    fill_with_noise(made.module, scale=0.2)
    return made


def images(channels=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, channels, 8, 8, generator=generator)


def blocks_to_hf(weights, blocks, layers):
    """Names of timm's blocks and of ours, which are alike but for a prefix."""
    named = {}
    parts = {
        "attn.proj": "attention.o_proj",
        "out": "attention.o_proj",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
    }
    for name, value in weights.items():
        if not name.startswith(blocks):
            continue
        number, rest = name.removeprefix(blocks).split(".", 1)
        part, kind = rest.rsplit(".", 1)
        if part.endswith("qkv"):
            for role, third in zip("qkv", value.chunk(3), strict=True):
                named[f"{layers}{number}.attention.{role}_proj.{kind}"] = third
        else:
            named[f"{layers}{number}.{parts[part]}.{kind}"] = value
    return named


def to_hf(values):
    """By Hugging Face's names, weights or gradients."""
    vit, decoder = "encoder.vit.", "decoder."
    patches = "vit.embeddings.patch_embeddings.projection"
    names = {
        f"{vit}patch_embed.proj.weight": f"{patches}.weight",
        f"{vit}patch_embed.proj.bias": f"{patches}.bias",
        f"{vit}cls_token": "vit.embeddings.cls_token",
        f"{vit}pos_embed": "vit.embeddings.position_embeddings",
        f"{vit}norm.weight": "vit.layernorm.weight",
        f"{vit}norm.bias": "vit.layernorm.bias",
        f"{decoder}embed.weight": "decoder.decoder_embed.weight",
        f"{decoder}embed.bias": "decoder.decoder_embed.bias",
        f"{decoder}mask_token": "decoder.mask_token",
        f"{decoder}transformer.norm.weight": "decoder.decoder_norm.weight",
        f"{decoder}transformer.norm.bias": "decoder.decoder_norm.bias",
        f"{decoder}head.weight": "decoder.decoder_pred.weight",
        f"{decoder}head.bias": "decoder.decoder_pred.bias",
    }
    named = {theirs: values[ours] for ours, theirs in names.items() if ours in values}
    return {
        **named,
        **blocks_to_hf(values, f"{vit}blocks.", "vit.layers."),
        **blocks_to_hf(
            values, f"{decoder}transformer.blocks.", "decoder.decoder_layers."
        ),
    }


def vit_mae(made):
    config = ViTMAEConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=8,
        patch_size=2,
        num_channels=3,
        layer_norm_eps=1e-6,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=2,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
        mask_ratio=0.75,
        norm_pix_loss=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = ViTMAEForPreTraining(config)
    weights = to_hf(made.module.state_dict())
    table = made._decoder.positions(16, torch.zeros(1, 1, 8))
    weights["decoder.decoder_pos_embed"] = torch.cat((torch.zeros(1, 8), table))[None]
    weights["decoder.mask_token"] = weights["decoder.mask_token"].view(1, 1, 8)
    model.load_state_dict(weights)
    return model


def test_loss_and_gradients_are_maes():
    made, pixels = built(MAE), images()
    draw = made.draw(pixels, 3)
    assert draw.mask.sum(dim=1).tolist() == [12] * 4
    result = made.loss(pixels, None, draw, 3)
    result.loss.backward()
    theirs = vit_mae(made)
    # The kept patches are those with the least noise.
    output = theirs(pixels, noise=draw.mask.float() + torch.arange(16) / 100)
    output.loss.backward()
    assert torch.equal(output.mask.bool(), draw.mask)
    torch.testing.assert_close(result.loss, output.loss, atol=1e-5, rtol=1e-5)
    ours = {n: p.grad for n, p in made.module.named_parameters() if p.grad is not None}
    grads = {n: p.grad for n, p in theirs.named_parameters() if p.grad is not None}
    named = to_hf(ours)
    assert set(named) == set(grads)
    for name, grad in named.items():
        torch.testing.assert_close(
            grad.view_as(grads[name]), grads[name], atol=1e-4, rtol=1e-4, msg=name
        )


def test_simmim_is_the_mean_absolute_error_of_a_linear_layer_on_mask_tokens():
    made, pixels = built(SIMMIM), images(1)
    draw = made.draw(pixels, 1)
    assert draw.kept is None
    loss = made.loss(pixels, None, draw, 1).loss.item()
    tokens = made.encoder(pixels, draw.mask)
    predicted = made.module["decoder"](tokens).detach().numpy()
    total = count = 0.0
    for image in range(4):
        for patch in range(16):
            if draw.mask[image, patch]:
                top, left = 2 * (patch // 4), 2 * (patch % 4)
                target = pixels[image, 0, top : top + 2, left : left + 2].flatten()
                total += np.abs(predicted[image, patch] - target.numpy()).sum()
                count += 4
    assert loss == pytest.approx(total / count, rel=1e-5)


def test_only_visible_patches_are_encoded():
    made, pixels = built(MAE), images()
    draw = made.draw(pixels, 1)
    changed = pixels.clone()
    hidden = draw.mask.view(4, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    changed[hidden.expand_as(changed)] += 3.0
    torch.testing.assert_close(
        made._predicted(pixels, draw), made._predicted(changed, draw)
    )


def test_a_constant_piece_has_target_zero_and_others_unit_variance():
    pieces = torch.cat((torch.full((1, 12), 3.0), images().flatten(1)[:, :12]))
    normed = standardised(pieces)
    assert torch.equal(normed[0], torch.zeros(12))
    torch.testing.assert_close(normed[1:].var(dim=1), torch.ones(4), rtol=1e-4, atol=0)


def test_predictions_that_ignore_the_input_are_dead():
    made = built(MAE, {"health": {"min_prediction_std": 0.01}})
    with torch.no_grad():
        made.module["decoder"].head.weight.zero_()
    measured = made.loss(images(), None, made.draw(images(), 1), 1).measure()
    assert measured["prediction/std"] < made.thresholds["prediction/std"]


def test_frames_of_speech_are_regressed_with_padding_left_out():
    trial = small_speech_trial(objective("pixels", **SMALL_DECODER), LOG_MEL)
    made = build_objective(trial, num_classes=0)
    fill_with_noise(made.module)
    waves = noise((8_000, 5_000))
    draw = made.draw(waves, 1)
    loss = made.loss(waves, None, draw, 1).loss
    other = noise((8_000, 5_000), padding=1.0)
    torch.testing.assert_close(made.loss(other, None, draw, 1).loss, loss)
    assert line_positions(5, 8, torch.device("cpu")).shape == (5, 8)


def test_the_published_decoder_is_that_of_vit_b():
    published = build_on_meta(parse_trial({"modality": "vision"}))
    assert decoder_sizes(TransformerDecoder(), published) == (512, 8, 16)
    small = build_on_meta(small_trial())
    assert decoder_sizes(TransformerDecoder(depth=1), small) == (32, 1, 1)


def test_what_it_cannot_do_is_refused():
    learned = small_speech_trial(objective("pixels"))
    with pytest.raises(ConfigError) as error:
        check_buildable(learned)
    assert str(error.value) == (
        "objective.kind: pixels needs fixed features of speech, "
        "speech.front_end.kind must be log_mel or patches"
    )
    odd = {"decoder": {"kind": "transformer", "width": 10, "num_heads": 2}}
    with pytest.raises(ConfigError) as error:
        check_buildable(small_trial(objective("pixels", **odd)))
    assert str(error.value) == (
        "objective.decoder.width: must be divisible by 4 and by "
        "objective.decoder.num_heads (2), got 10"
    )
