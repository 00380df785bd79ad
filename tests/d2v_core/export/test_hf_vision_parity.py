"""Hugging Face's Data2VecVision is the oracle: the same weights, the same numbers."""

import json

import pytest
import torch
from transformers import Data2VecVisionConfig, Data2VecVisionModel
from transformers import Data2VecVisionForImageClassification as Classifier

from d2v_core.export.hf_config import DEFAULTS
from d2v_core.export.hf_vision import export_hf, load_hf_vision
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.updates import top_layers

TOLERANCE = {"atol": 1e-4, "rtol": 0.0}
SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 100,
    "image_size": 32,
    "patch_size": 8,
    "use_mean_pooling": False,
    "use_mask_token": True,
}
SHARED = {"use_shared_relative_position_bias": True}
PER_LAYER = {"use_relative_position_bias": True}
ABSOLUTE = {"use_absolute_position_embeddings": True}
VARIANTS = {
    "shared": SHARED,
    "per layer": PER_LAYER,
    "absolute": ABSOLUTE,
    "absolute, plain": {**ABSOLUTE, "layer_scale_init_value": 0.0},
    "everything": {**SHARED, **PER_LAYER, **ABSOLUTE},
    "no positions": {},
    "as published": {**SHARED, "use_mask_token": False, "layer_norm_eps": 1e-12},
    "large epsilon": {**SHARED, "layer_norm_eps": 0.1},
    "mean pooling": {**PER_LAYER, "use_mean_pooling": True},
    "64 pixels, grey": {
        **SHARED,
        **{"image_size": 64, "patch_size": 16, "num_channels": 1, "hidden_size": 32},
    },
}


def random_model(options, attention, kind=Data2VecVisionModel):
    config = Data2VecVisionConfig(**{**SIZES, **options})
    config._attn_implementation = attention
    model = kind(config).eval()
    fill_with_noise(model)
    return model


def random_images(config):
    shape = (3, config.num_channels, config.image_size, config.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_same_numbers(encoder, model):
    """Every layer, the final tokens, and the final tokens of masked images."""
    images = random_images(model.config)
    with torch.no_grad():
        theirs = model(images, output_hidden_states=True)
        ours = top_layers(encoder, images, feature="block", top_k=encoder.depth)
        assert len(ours) == len(theirs.hidden_states) - 1
        for layer, reference in zip(ours, theirs.hidden_states[1:], strict=True):
            torch.testing.assert_close(layer, reference[:, 1:], **TOLERANCE)
        tokens = encoder.all_tokens(images)
        torch.testing.assert_close(tokens, theirs.last_hidden_state, **TOLERANCE)
        assert tokens.std() > 0.1
        if model.config.use_mask_token:
            mask = torch.arange(tokens.shape[1] - 1).expand(3, -1) % 3 == 0
            masked = model(images, bool_masked_pos=mask).last_hidden_state
            ours = encoder.all_tokens(images, mask)
            torch.testing.assert_close(ours, masked, **TOLERANCE)
            assert not torch.allclose(masked, tokens, atol=0.1)


def reopened(folder):
    """Opened by Hugging Face, which must miss nothing and find nothing too much."""
    model, info = Data2VecVisionModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_hugging_face_model_gives_the_same_numbers_in_our_core_and_back(
    options, attention, tmp_path
):
    model = random_model(options, attention)
    model.save_pretrained(tmp_path / "theirs")
    encoder = load_hf_vision(tmp_path / "theirs")
    assert not encoder.training
    assert_same_numbers(encoder, model)

    export_hf(encoder, tmp_path / "ours")
    again = reopened(tmp_path / "ours")
    assert_same_numbers(encoder, again)
    theirs, ours = model.state_dict(), again.state_dict()
    assert set(ours) - set(theirs) <= {"embeddings.mask_token"}
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


def test_the_encoder_inside_a_classifier_is_found(tmp_path):
    model = random_model({**SHARED, "use_mean_pooling": True}, "eager", Classifier)
    model.save_pretrained(tmp_path)
    assert_same_numbers(load_hf_vision(tmp_path), model.data2vec_vision)


def test_weights_in_half_precision_are_read_as_single(tmp_path):
    model = random_model(SHARED, "eager").half()
    model.save_pretrained(tmp_path)
    encoder = load_hf_vision(tmp_path)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert_same_numbers(encoder, model.float())


def test_a_setting_that_the_configuration_leaves_out_has_hugging_faces_value():
    theirs = Data2VecVisionConfig().to_dict()
    assert {name: theirs[name] for name in DEFAULTS} == DEFAULTS


def test_loading_leaves_the_global_generator_alone(tmp_path):
    random_model(SHARED, "eager").save_pretrained(tmp_path)
    before = torch.get_rng_state()
    load_hf_vision(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("model_type", "beit", "model_type must be data2vec-vision, got 'beit'"),
        ("hidden_act", "relu", "hidden_act must be gelu, got 'relu'"),
        ("image_size", [32, 64], r"must be square, got \[32, 64\]"),
        ("num_hidden_layers", 3, "weights do not fit config.json: .* has no place"),
        ("num_hidden_layers", 5, r"fit config.json: encoder.layer.4\..* is missing"),
        ("hidden_size", 32, r"must have shape \(1, 1, 32\), got \(1, 1, 48\)"),
        ("use_mask_token", False, "embeddings.mask_token has no place"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(setting, value, says, tmp_path):
    random_model(SHARED, "eager").save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), setting: value}))
    with pytest.raises(ValueError, match=says):
        load_hf_vision(tmp_path)


def test_an_incomplete_or_broken_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config.json: no such file"):
        load_hf_vision(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"model.safetensors: no such file; save"):
        load_hf_vision(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="cannot be read"):
        load_hf_vision(tmp_path)
