"""Our encoders, opened by Hugging Face and by timm, give the same features."""

import json

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, Data2VecVisionModel

from d2v_core.encoders.timm_vision import VisionEncoder, create_vit
from d2v_core.export.hf_vision import export_hf, load_hf_vision
from d2v_core.export.timm_folder import export_timm
from d2v_core.objectives.parts.teacher import EmaTeacher
from tests.d2v_core.export.test_hf_vision_parity import (
    SHARED,
    TOLERANCE,
    random_model,
    reopened,
)
from tests.d2v_core.small import fill_with_noise, small_dataset
from tests.d2v_core.updates import top_layers

SIZES = {
    "image_size": 32,
    "patch_size": 8,
    "channels": 3,
    "width": 48,
    "depth": 3,
    "num_heads": 4,
}
VIT = {"timm_model": "vit_tiny_patch16_224"}
BEIT = {"timm_model": "beit_base_patch16_224"}
EXPRESSIBLE = {
    "beit": BEIT,
    "beit with a shared table": {**BEIT, "shared_relative_position": True},
    "beit of another size": {**BEIT, "image_size": 64, "patch_size": 16, "channels": 1},
    "vit": VIT,
    "vit with layer scale": {**VIT, "layer_scale": 0.5},
    "vit with fixed positions": {**VIT, "positions": "sincos"},
    "vit with odd sizes": {**VIT, "mlp_ratio": 2.1, "depth": 1, "image_size": 36},
    "vit without biases": {"timm_model": "vit_base_patch16_224_miil"},
    "vit for images of any size": {"timm_model": "vit_intern300m_patch14_448"},
    "trained with dropout": {
        **{**VIT, "drop_path": 0.2, "dropout": 0.1, "attention_dropout": 0.1}
    },
    "deit": {"timm_model": "deit_tiny_patch16_224"},
    "class token without position": {"timm_model": "deit3_small_patch16_224"},
}
LITTLE = {"img_size": 32, "patch_size": 8, "num_classes": 0}
LITTLE |= {"embed_dim": 48, "depth": 2, "num_heads": 4}
ONLY_TIMM = {
    "no class token": (
        ("vit_medium_patch16_gap_240", {"fc_norm": False}),
        "it has no class token",
    ),
    "registers": (
        ("vit_small_patch14_reg4_dinov2", {}),
        r"it has 5 prefix tokens \(registers, distillation\), not the class",
    ),
    "distillation": (("deit_tiny_distilled_patch16_224", {}), "it has 2 prefix tokens"),
    "qk-norm": (
        ("vit_tiny_patch16_224", {"qk_norm": True}),
        "blocks.0.attn.k_norm.bias has no place; .*; and 4 more weights",
    ),
    "a norm before the blocks": (
        ("vit_base_patch16_clip_224", {}),
        "norm_pre.weight has no place; patch_embed.proj.bias is missing",
    ),
    "another activation": (
        ("vit_base_patch16_clip_quickgelu_224", {}),
        "its feed-forward part is not two layers with an exact GELU",
    ),
    "a gated feed-forward part": (
        ("vit_giant_patch14_dinov2", {}),
        "its feed-forward part is not two layers with an exact GELU",
    ),
    "a norm inside the feed-forward part": (
        ("beit3_base_patch16_224", {}),
        "blocks.0.mlp.norm.bias has no place",
    ),
    "norms after the branches": (
        ("vit_base_patch16_rpn_224", {"class_token": True, "global_pool": "token"}),
        "its blocks are not plain pre-norm blocks",
    ),
    "differential attention": (
        ("vit_dlittle_patch16_reg1_gap_256", {"fc_norm": False}),
        "it has no class token; its blocks are not plain pre-norm blocks",
    ),
    "images that are not square": (
        ("beit_base_patch16_224", {"img_size": (32, 16), "global_pool": "token"}),
        r"images and patches must be square, got \(\(32, 16\), \(8, 8\)\)",
    ),
    "another norm": (
        ("vit_tiny_patch16_224", {"norm_layer": "rmsnorm"}),
        "its norms are not layer norms with one epsilon",
    ),
}


def make(options):
    encoder = VisionEncoder(create_vit(**{**SIZES, **options})).eval()
    fill_with_noise(encoder)
    return encoder


@pytest.fixture(params=EXPRESSIBLE.values(), ids=EXPRESSIBLE.keys())
def encoder(request):
    return make(request.param)


def images_for(encoder):
    patches = encoder.vit.patch_embed
    shape = (3, patches.proj.in_channels, *patches.img_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_hf_agrees(encoder, model):
    images = images_for(encoder)
    theirs = model.eval()(images, output_hidden_states=True)
    ours = top_layers(encoder, images, feature="block", top_k=encoder.depth)
    for layer, reference in zip(ours, theirs.hidden_states[1:], strict=True):
        torch.testing.assert_close(reference[:, 1:], layer, **TOLERANCE)
    torch.testing.assert_close(
        theirs.last_hidden_state, encoder.all_tokens(images), **TOLERANCE
    )


def test_hugging_face_opens_an_exported_encoder_with_the_same_numbers(
    encoder, tmp_path
):
    export_hf(encoder, tmp_path / "new" / "folder")
    model = reopened(tmp_path / "new" / "folder")
    assert type(model) is Data2VecVisionModel
    assert model.config.layer_norm_eps == encoder.vit.norm.eps == 1e-6
    assert_hf_agrees(encoder, model)


def test_our_core_opens_its_own_hugging_face_export(encoder, tmp_path):
    export_hf(encoder, tmp_path)
    again = load_hf_vision(tmp_path)
    images = images_for(encoder)
    mask = torch.arange(encoder.grid[0] ** 2).expand(3, -1) % 2 == 0
    with torch.no_grad():
        torch.testing.assert_close(
            again.all_tokens(images, mask),
            encoder.all_tokens(images, mask),
            **TOLERANCE,
        )


def test_timm_opens_an_exported_encoder_with_the_same_features(encoder, tmp_path):
    export_timm(encoder, tmp_path)
    assert_timm_agrees(encoder, tmp_path)


@torch.no_grad()
def assert_timm_agrees(encoder, folder):
    config = json.loads((folder / "config.json").read_text())
    vit = timm.create_model(config["architecture"], **config["model_args"])
    vit.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    images = images_for(encoder)
    expected = encoder.all_tokens(images)
    torch.testing.assert_close(vit.eval().forward_features(images), expected)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # timm 1.0.31
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_timm_opens_the_folder_by_its_name(tmp_path):
    encoder = make({**BEIT, "shared_relative_position": True})
    export_timm(encoder, tmp_path, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    vit = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = images_for(encoder)
    with torch.no_grad():
        expected = encoder.all_tokens(images)
        torch.testing.assert_close(vit.forward_features(images), expected)
    data = timm.data.resolve_data_config(model=vit)
    assert (data["mean"], data["std"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert (data["input_size"], data["crop_pct"]) == ((3, 32, 32), 1.0)


@pytest.mark.parametrize(("model", "says"), ONLY_TIMM.values(), ids=ONLY_TIMM.keys())
def test_what_hugging_face_cannot_express_is_refused_and_timm_takes_it(
    model, says, tmp_path
):
    name, options = model
    encoder = VisionEncoder(timm.create_model(name, **{**LITTLE, **options})).eval()
    fill_with_noise(encoder)
    with pytest.raises(ValueError, match=f"cannot express this encoder: .*{says}"):
        export_hf(encoder, tmp_path)
    assert list(tmp_path.iterdir()) == []
    export_timm(encoder, tmp_path)
    assert_timm_agrees(encoder, tmp_path)


def test_what_timm_cannot_rebuild_is_refused(tmp_path):
    random_model(SHARED, "eager").save_pretrained(tmp_path / "theirs")
    encoder = load_hf_vision(tmp_path / "theirs")
    says = (
        "timm builds another encoder from beit_base_patch16_224 and its options; the "
        "first difference is at blocks.0.norm1: .*eps=1e-"
    )
    with pytest.raises(ValueError, match=says):
        export_timm(encoder, tmp_path / "timm")
    assert not (tmp_path / "timm").exists()


def test_a_hugging_face_model_with_timms_epsilon_goes_on_to_timm(tmp_path):
    model = random_model({**SHARED, "layer_norm_eps": 1e-6}, "eager")
    model.save_pretrained(tmp_path / "theirs")
    encoder = load_hf_vision(tmp_path / "theirs")
    export_timm(encoder, tmp_path / "timm")
    assert_timm_agrees(encoder, tmp_path / "timm")


def test_a_teacher_is_exported_like_its_student(tmp_path):
    encoder = make({**BEIT, "shared_relative_position": True})
    teacher = EmaTeacher(encoder)
    fill_with_noise(encoder, seed=7)
    teacher.update(encoder, 0.5)
    export_hf(teacher.network, tmp_path)
    assert_hf_agrees(teacher.network, reopened(tmp_path))


def test_a_second_export_replaces_the_first(tmp_path):
    first, second = make(VIT), make({**BEIT, "depth": 2})
    export_timm(first, tmp_path)
    export_hf(second, tmp_path)
    assert_hf_agrees(second, reopened(tmp_path))
    export_timm(second, tmp_path)
    assert_timm_agrees(second, tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_hugging_faces_preprocessing_is_our_normalisation(channels, tmp_path):
    data = small_dataset(size=32, channels=channels)
    encoder = make({**BEIT, "channels": channels})
    export_hf(encoder, tmp_path, mean=data.mean.tolist(), std=data.std.tolist())
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    images = data.test.images.read(np.arange(4))
    theirs = processor(images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(theirs, data.normalise(images), atol=1e-5, rtol=0.0)


def test_hugging_faces_preprocessing_resizes_the_short_side_and_crops(tmp_path):
    export_hf(make(BEIT), tmp_path, mean=[0.5] * 3, std=[0.5] * 3)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    wide = torch.zeros(3, 40, 100, dtype=torch.uint8)
    wide[:, :, 30:70] = 255  # the middle, all that a square crop keeps
    pixels = processor(wide, return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels[..., 2:-2].min() > 0.99
