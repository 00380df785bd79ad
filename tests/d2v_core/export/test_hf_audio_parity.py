"""Hugging Face's Data2VecAudio is the oracle: the same weights, the same numbers."""

import json

import pytest
import torch
from transformers import AutoFeatureExtractor, Data2VecAudioConfig, Data2VecAudioModel
from transformers import Data2VecAudioForCTC as Recogniser

from d2v_core.config.speech_data import WaveformConfig
from d2v_core.data.speech.dataset import prepared
from d2v_core.encoders.inputs import Padded
from d2v_core.export.hf_audio import DEFAULTS, export_hf_audio, load_hf_audio
from d2v_core.modalities.speech import build_speech_encoder
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_speech import LOG_MEL, noise, small_speech_trial
from tests.d2v_core.updates import top_layers

TOLERANCE = {"atol": 1e-4, "rtol": 0.0}
SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 100,
    "conv_dim": [24] * 7,
}
VARIANTS = {
    "as published": {},
    "convolutions with bias": {"conv_bias": True},
    "three convolutions, growing": {
        "conv_dim": [8, 16, 32],
        "conv_kernel": [10, 8, 4],
        "conv_stride": [5, 4, 2],
    },
    "other positions": {
        "num_conv_pos_embeddings": 2,
        "conv_pos_kernel_size": 4,
        "num_conv_pos_embedding_groups": 4,
    },
    "large epsilon": {"layer_norm_eps": 0.1},
    "no mask token": {"mask_time_prob": 0.0},
}
LENGTHS = (4_000, 2_300, 1_300)


def random_model(options, attention="sdpa", kind=Data2VecAudioModel):
    config = Data2VecAudioConfig(**{**SIZES, **options})
    config._attn_implementation = attention
    model = kind(config).eval()
    fill_with_noise(model)
    with torch.no_grad():  # frames would all become alike
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter += 1.0
    return model


def saved(model, folder):
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def hidden_states(model, waves, **options):
    return model(waves.values, output_hidden_states=True, **options).hidden_states


def attention_mask(waves):
    return torch.arange(waves.values.shape[1]) < torch.tensor(waves.lengths)[:, None]


def heal(model):
    """Make Hugging Face zero the padding before each positional convolution."""
    real = {}

    def note(module, args, kwargs):
        mask = kwargs.get("attention_mask")
        real["mask"] = None if mask is None else mask[:, None, :]

    def zero(module, args):
        (x,) = args
        return None if real["mask"] is None else (x * real["mask"],)

    model.encoder.register_forward_pre_hook(note, with_kwargs=True)
    for layer in model.encoder.pos_conv_embed.layers:
        layer.register_forward_pre_hook(zero)


@torch.no_grad()
def assert_same_numbers(encoder, model):
    """Every layer of rows of one length, also masked, and of padded rows."""
    waves = noise([2_000] * 3)
    theirs = hidden_states(model, waves)
    ours = top_layers(encoder, waves, feature="block", top_k=encoder.depth)
    assert len(ours) == len(theirs) - 1
    torch.testing.assert_close(
        encoder.placed(encoder.embed(waves), None, None), theirs[0], **TOLERANCE
    )
    for layer, reference in zip(ours, theirs[1:], strict=True):
        torch.testing.assert_close(layer, reference, **TOLERANCE)
    torch.testing.assert_close(encoder(waves), theirs[-1], **TOLERANCE)
    if hasattr(model, "masked_spec_embed"):
        mask = torch.arange(theirs[0].shape[1]).expand(3, -1) % 3 == 0
        masked = hidden_states(model, waves, mask_time_indices=mask)[-1]
        torch.testing.assert_close(encoder(waves, mask), masked, **TOLERANCE)
        assert not torch.allclose(masked, theirs[-1], atol=0.1)
    padded = noise(LENGTHS)
    for i, length in enumerate(LENGTHS):
        alone = Padded(padded.values[i : i + 1, :length], (length,))
        layers = top_layers(encoder, padded, feature="block", top_k=encoder.depth)
        for layer, reference in zip(
            layers, hidden_states(model, alone)[1:], strict=True
        ):
            frames = reference.shape[1]
            torch.testing.assert_close(layer[i, :frames], reference[0], **TOLERANCE)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_hugging_face_model_gives_the_same_numbers_in_our_core_and_back(
    options, attention, tmp_path
):
    model = random_model(options, attention)
    encoder = load_hf_audio(saved(model, tmp_path / "theirs"))
    assert not encoder.training
    assert_same_numbers(encoder, model)

    export_hf_audio(encoder, tmp_path / "ours")
    again, info = Data2VecAudioModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(info.values()), info
    assert_same_numbers(encoder, again)
    theirs, ours = model.state_dict(), again.state_dict()
    assert set(ours) - set(theirs) <= {"masked_spec_embed"}
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


@torch.no_grad()
def test_padded_rows_are_hugging_faces_once_its_positions_see_no_padding(tmp_path):
    model = random_model({})
    encoder = load_hf_audio(saved(model, tmp_path))
    waves = noise(LENGTHS)
    real, mask = encoder.real(waves), attention_mask(waves)
    ours = top_layers(encoder, waves, feature="block", top_k=4)
    as_is = hidden_states(model, waves, attention_mask=mask)
    heal(model)
    healed = hidden_states(model, waves, attention_mask=mask)
    for layer, reference in zip(ours, healed[1:], strict=True):
        torch.testing.assert_close(layer[real], reference[real], **TOLERANCE)
    # As released, the end of an utterance depends on its padding.
    assert float((as_is[1] - healed[1])[real].abs().max()) > 1e-2
    longest = slice(0, 1)
    torch.testing.assert_close(as_is[-1][longest], ours[-1][longest], **TOLERANCE)


@torch.no_grad()
def test_every_feature_is_where_the_reference_takes_it(tmp_path):
    model = random_model({})
    encoder = load_hf_audio(saved(model, tmp_path))
    waves, seen = noise([2_000] * 2), {"ffn": [], "attention": [], "ffn_residual": []}
    for layer in model.encoder.layers:
        layer.feed_forward.output_dense.register_forward_hook(
            lambda module, args, output: seen["ffn"].append(output)
        )
        layer.attention.out_proj.register_forward_hook(
            lambda module, args, output: seen["attention"].append(output)
        )
        layer.final_layer_norm.register_forward_pre_hook(
            lambda module, args: seen["ffn_residual"].append(args[0])
        )
    model(waves.values)
    for feature, theirs in seen.items():
        ours = top_layers(encoder, waves, feature=feature, top_k=3)
        for layer, reference in zip(ours, theirs[1:], strict=True):
            torch.testing.assert_close(layer, reference, **TOLERANCE)


def test_the_encoder_inside_a_recogniser_is_found(tmp_path):
    model = random_model({}, kind=Recogniser)
    encoder = load_hf_audio(saved(model, tmp_path))
    assert_same_numbers(encoder, model.data2vec_audio)


def test_the_published_sizes_are_ours():
    with torch.device("meta"):
        theirs = Data2VecAudioModel(Data2VecAudioConfig())
        trial = small_speech_trial()
        ours = build_speech_encoder(type(trial)().speech)
    count = sum(p.numel() for p in ours.parameters())
    assert count == sum(p.numel() for p in theirs.parameters())


def test_a_setting_that_the_configuration_leaves_out_has_hugging_faces_value():
    theirs = Data2VecAudioConfig().to_dict()
    found = {name: theirs[name] for name in DEFAULTS}
    assert json.loads(json.dumps(found)) == DEFAULTS


@pytest.mark.parametrize("normalise", [True, False])
def test_the_feature_extractor_prepares_waveforms_as_training_does(normalise, tmp_path):
    encoder = build_speech_encoder(small_speech_trial().speech)
    export_hf_audio(encoder, tmp_path, sample_rate_hz=16_000, normalise=normalise)
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path)
    wave = 0.1 * noise([900]).values[0].numpy() + 0.05
    made = extractor(wave, sampling_rate=16_000, return_tensors="np").input_values[0]
    ours = prepared(wave, WaveformConfig(normalise=normalise))
    assert abs(made - ours).max() < 2e-3  # their epsilon is 1e-7, fairseq's 1e-5
    with pytest.raises(ValueError, match="sampling"):
        extractor(wave, sampling_rate=8_000)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (LOG_MEL, "its front end is a LogMelFrontEnd, it must be wav2vec 2.0"),
        (
            {"speech": {"norm": "pre"}},
            "its blocks are pre-norm, they must be post-norm",
        ),
        (
            {
                "speech": {
                    "norm": "pre",
                    "front_end": {"kind": "wav2vec2", "norm": "group"},
                },
                "waveform": {"max_seconds": 0.5},
            },
            "have a group norm, they must have layer norms .*; its blocks are pre-norm",
        ),
    ],
)
def test_what_hugging_face_cannot_express_is_refused(change, says, tmp_path):
    encoder = build_speech_encoder(small_speech_trial(change).speech)
    with pytest.raises(ValueError, match=says):
        export_hf_audio(encoder, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("model_type", "wav2vec2", "model_type must be data2vec-audio, got wav2vec2"),
        ("hidden_act", "relu", "hidden_act must be gelu, got relu"),
        ("add_adapter", True, "add_adapter must be False, got True"),
        ("num_hidden_layers", 3, "weights do not fit config.json: .* has no place"),
        ("num_hidden_layers", 5, r"fit config.json: encoder.layers.4\..* is missing"),
        ("hidden_size", 32, r"must have shape \(32,\), got \(48,\)"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(setting, value, says, tmp_path):
    saved(random_model({}), tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), setting: value}))
    with pytest.raises(ValueError, match=says):
        load_hf_audio(tmp_path)
