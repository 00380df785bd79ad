import pytest
import torch

from d2v_core.build import build_encoder, check_buildable
from d2v_core.config.parsing import parse_trial
from d2v_core.encoders.inputs import Padded
from d2v_core.errors import ConfigError
from d2v_core.evaluation.features import frozen_tokens
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.small_text import small_text_trial


def text_blocks(encoder, inputs):
    """Output of each block, one block after the other."""
    x = encoder.placed(encoder.embed(inputs), None, None)
    outputs = []
    for block in encoder.transformer.blocks:
        x = block(x)
        outputs.append(x)
    return outputs


def vision_blocks(encoder, images):
    x = encoder._placed(encoder.vit.patch_embed(images))
    outputs = []
    for block in encoder.vit.blocks:
        x = block(x)
        outputs.append(x[:, encoder.num_prefix_tokens :])
    return outputs


def inputs_of(modality):
    generator = torch.Generator().manual_seed(0)
    if modality == "text":
        ids = torch.randint(5, 200, (3, 9), generator=generator)
        return Padded(ids, (9, 9, 9))
    return torch.randn(3, 1, 8, 8, generator=generator)


@pytest.mark.parametrize(
    ("trial", "blocks"), [(small_text_trial, text_blocks), (small_trial, vision_blocks)]
)
def test_features_are_the_mean_over_the_top_blocks(trial, blocks):
    trial = trial()
    encoder = build_encoder(trial).eval()
    fill_with_noise(encoder)
    inputs = inputs_of(trial.modality)
    with torch.no_grad():
        outputs = blocks(encoder, inputs)
        for n in range(2, encoder.depth + 1):
            found = frozen_tokens(encoder, inputs, num_layers=n)
            expected = torch.stack(outputs[-n:]).mean(dim=0)
            torch.testing.assert_close(found, expected)
        final = frozen_tokens(encoder, inputs, num_layers=1)
        assert torch.equal(final, encoder(inputs))


def test_more_blocks_than_there_are_are_refused():
    with pytest.raises(ConfigError) as error:
        small_text_trial({"evaluation": {"num_layers": 9}})
    assert str(error.value) == (
        "evaluation.num_layers: must be at most the encoder's depth (3), got 9"
    )


def test_a_model_with_a_depth_of_its_own_is_asked_for_it():
    trial = parse_trial(
        {
            "modality": "vision",
            "vision": {"timm_model": "vit_tiny_patch16_224"},
            "target": {"top_k": 3},
            "evaluation": {"num_layers": 13},
        }
    )
    with pytest.raises(ConfigError, match=r"num_layers: .* depth \(12\), got 13"):
        check_buildable(trial)
