"""Encoders of images by objective: ViTMAEModel and Data2VecVisionModel, and timm."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, Data2VecVisionModel, ViTMAEModel

from d2v_core.export.hf_vit_mae import export_vit_mae
from d2v_core.export.timm_folder import export_timm
from tests.d2v_core.export.opened import TOLERANCE, exported, reopened, trained
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_objectives import SMALL_DECODER, objective

MAE = objective("pixels", **SMALL_DECODER)
SIMMIM = objective("pixels", decoder={"kind": "linear"})
BEIT = {"vision": {"timm_model": "beit_base_patch16_224"}}
LAYER_SCALE = {"vision": {"layer_scale": 0.5}}


def images_for(encoder):
    shape = (
        3,
        encoder.vit.patch_embed.proj.in_channels,
        *encoder.vit.patch_embed.img_size,
    )
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_mae_agrees(encoder, model):
    """The class token and every patch; without noise the same ones in some order."""
    images = images_for(encoder)
    expected = encoder.all_tokens(images)
    num_patches = expected.shape[1] - 1
    noise = torch.arange(num_patches).expand(len(images), -1)
    found = model(images, noise=noise)
    torch.testing.assert_close(found.last_hidden_state, expected, **TOLERANCE)
    assert expected.std() > 0.1
    shuffled = model(images)
    tokens = shuffled.last_hidden_state
    torch.testing.assert_close(tokens[:, :1], expected[:, :1], **TOLERANCE)
    order = shuffled.ids_restore[:, :, None].expand(-1, -1, tokens.shape[2])
    back = tokens[:, 1:].gather(1, order)
    torch.testing.assert_close(back, expected[:, 1:], **TOLERANCE)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"vision": {"positions": "sincos", "channels": 3}},
        {"vision": {"timm_model": "deit_tiny_patch16_224", "dropout": 0.1}},
        {"vision": {"timm_model": "vit_base_patch16_224_miil"}},
    ],
    ids=["learned positions", "fixed positions", "deit", "no biases of qkv"],
)
def test_an_encoder_of_mae_is_a_vit_mae(change, tmp_path):
    trial = small_trial(MAE, change)
    encoder = trained(trial)
    written = exported(trial, encoder, tmp_path)
    assert written.class_name == "ViTMAEModel"
    assert "noise=torch.arange(num_patches)" in written.remarks[0]
    assert_mae_agrees(encoder, reopened(tmp_path, ViTMAEModel))


def test_a_class_token_without_position_has_a_place_in_vit_mae(tmp_path):
    vision = {"timm_model": "deit3_small_patch16_224"}
    encoder = trained(small_trial(objective("untrained"), {"vision": vision}))
    for block in encoder.vit.blocks:  # DeiT III's layer scale has none
        block.ls1, block.ls2 = torch.nn.Identity(), torch.nn.Identity()
    export_vit_mae(encoder, tmp_path)
    assert_mae_agrees(encoder, reopened(tmp_path, ViTMAEModel))


def test_the_folder_of_a_vit_mae_prepares_images(tmp_path):
    trial = small_trial(MAE)
    exported(trial, trained(trial), tmp_path, mean=[0.4], std=[0.25])
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    grey = torch.full((1, 8, 8), 51, dtype=torch.uint8)  # 0.2
    pixels = processor(grey, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels, torch.full((1, 1, 8, 8), -0.8))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (BEIT, r"relative positions, .*timm_model: a ViT, not a BEiT\); it has no abs"),
        (LAYER_SCALE, r"layer scale, they must have none \(vision.layer_scale: null,"),
    ],
)
@torch.no_grad()
def test_what_vit_mae_cannot_express_becomes_a_data2vec_vision(change, says, tmp_path):
    trial = small_trial(MAE, change)
    encoder = trained(trial)
    with pytest.raises(ValueError, match=f"Face's ViTMAEModel cannot .*{says}"):
        export_vit_mae(encoder, tmp_path)
    assert list(tmp_path.iterdir()) == []
    written = exported(trial, encoder, tmp_path)
    assert written.class_name == "Data2VecVisionModel"
    assert written.remarks[0].startswith("not as ViTMAEModel: its ")
    images = images_for(encoder)
    found = reopened(tmp_path, Data2VecVisionModel)(images).last_hidden_state
    torch.testing.assert_close(found, encoder.all_tokens(images), **TOLERANCE)


def test_what_neither_class_can_express_is_refused_once_with_the_reasons_of_both(
    tmp_path,
):
    trial = small_trial(MAE, {"vision": {"timm_model": "vit_medium_patch16_gap_240"}})
    says = (
        "^Hugging Face's ViTMAEModel cannot express this encoder: it has no class "
        r"token; its blocks have layer scale, .* without\)\. Hugging Face's "
        "Data2VecVisionModel cannot express this encoder: it has no class token$"
    )
    with pytest.raises(ValueError, match=says):
        exported(trial, trained(trial), tmp_path)
    assert list(tmp_path.iterdir()) == []


VISION = {
    "data2vec": {},
    "data2vec2": objective("data2vec2", decoder={"width": 16, "groups": 4}),
    "pixels, SimMIM": SIMMIM,
    "rotation": objective("rotation"),
    "context": objective("context"),
    "jigsaw": objective("jigsaw", num_permutations=6),
}


@pytest.mark.parametrize("change", VISION.values(), ids=VISION.keys())
@torch.no_grad()
def test_other_encoders_of_images_are_data2vecs_and_masks_go_with_them(
    change, tmp_path
):
    trial = small_trial(change)
    encoder = trained(trial)
    written = exported(trial, encoder, tmp_path)
    assert (written.class_name, written.remarks) == ("Data2VecVisionModel", ())
    model, images = reopened(tmp_path, Data2VecVisionModel), images_for(encoder)
    mask = torch.arange(encoder.grid[0] ** 2).expand(3, -1) % 3 == 0
    found = model(images, bool_masked_pos=mask).last_hidden_state
    torch.testing.assert_close(found, encoder.all_tokens(images, mask), **TOLERANCE)


@pytest.mark.parametrize(
    "change", [*VISION.values(), MAE], ids=[*VISION, "pixels, MAE"]
)
@torch.no_grad()
def test_every_encoder_of_images_goes_to_timm(change, tmp_path):
    encoder = trained(small_trial(change))
    export_timm(encoder, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    vit = timm.create_model(config["architecture"], **config["model_args"])
    vit.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    images = images_for(encoder)
    found = vit.eval().forward_features(images)
    torch.testing.assert_close(found, encoder.all_tokens(images), **TOLERANCE)
