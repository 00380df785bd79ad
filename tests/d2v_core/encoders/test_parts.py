import numpy as np
import pytest
import torch

from tests.d2v_core.encoders.test_timm_vision import SIZES, VARIANTS, make


def test_the_patch_embedding_is_its_weights_and_nothing_else():
    encoder = make(VARIANTS["vit"])
    names = encoder.part_names(["feature_encoder"])
    assert names == {"vit.patch_embed.proj.weight", "vit.patch_embed.proj.bias"}
    assert names <= set(dict(encoder.named_parameters()))


@pytest.mark.parametrize("name", ["vit", "deit", "vit with registers"])
def test_positions_are_the_absolute_table_without_class_token(name):
    encoder = make(VARIANTS[name])
    assert encoder.part_names(["positions"]) == {"vit.pos_embed"}
    assert len(encoder.part_names(["positions", "feature_encoder"])) == 3


def test_no_parts_are_no_names():
    assert make(VARIANTS["beit"]).part_names([]) == frozenset()


@pytest.mark.parametrize("name", ["beit", "beit with a shared table"])
def test_a_model_with_relative_positions_only_has_none_to_share(name):
    with pytest.raises(ValueError, match="positions cannot be shared"):
        make(VARIANTS[name]).part_names(["positions"])


@pytest.mark.parametrize("name", VARIANTS)
def test_local_features_are_the_projection_of_each_patch(name):
    encoder = make(VARIANTS[name])
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    projection = encoder.vit.patch_embed.proj
    weight = projection.weight.detach().double().numpy().reshape(SIZES["width"], -1)
    pixels = images.double().numpy().reshape(2, 3, 4, 2, 4, 2)
    patches = pixels.transpose(0, 2, 4, 1, 3, 5).reshape(2 * 16, 3 * 4)
    expected = patches @ weight.T
    if projection.bias is not None:
        expected += projection.bias.detach().double().numpy()
    ours = encoder.local_features(images).detach()
    np.testing.assert_allclose(ours, expected, atol=1e-5)
