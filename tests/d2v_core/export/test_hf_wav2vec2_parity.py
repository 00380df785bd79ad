"""Encoders of speech by objective: Hugging Face's Wav2Vec2Model is the oracle."""

import pytest
import torch
from transformers import (
    AutoFeatureExtractor,
    Data2VecAudioModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from d2v_core.config.speech import SpeechEncoderConfig
from d2v_core.export.hf_audio import export_hf_audio
from d2v_core.modalities.speech import build_speech_encoder
from tests.d2v_core.export.opened import TOLERANCE, exported, reopened, trained
from tests.d2v_core.small_objectives import SMALL_QUANTISER, objective
from tests.d2v_core.small_speech import LOG_MEL, noise, small_speech_trial

CONTRASTIVE = objective("contrastive", **SMALL_QUANTISER)
WAV2VEC2 = {
    "speech": {"position_layers": 1, "position_kernel": 8, "position_norm": "none"}
}
PRE_NORM = {"speech": {"norm": "pre"}}
GROUP_NORM = {
    "speech": {
        "front_end": {
            "kind": "wav2vec2",
            "channels": 12,
            "layers": [[10, 5], [3, 2], [2, 2]],
            "norm": "group",
        }
    }
}


def of_wav2vec2(*changes):
    trial = small_speech_trial(CONTRASTIVE, WAV2VEC2, *changes)
    return trial, trained(trial)


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ({"speech": {"position_kernel": 5}},),
        (GROUP_NORM,),
        (PRE_NORM,),
        (GROUP_NORM, PRE_NORM),
    ],
    ids=["layer norms", "odd kernel", "group norm", "pre-norm", "group, pre-norm"],
)
@torch.no_grad()
def test_an_encoder_with_wav2vec2s_positions_is_a_wav2vec2(changes, tmp_path):
    trial, encoder = of_wav2vec2(*changes)
    written = exported(trial, encoder, tmp_path, normalise=True)
    assert (written.class_name, written.remarks) == ("Wav2Vec2Model", ())
    assert AutoFeatureExtractor.from_pretrained(tmp_path).do_normalize
    model, waves = reopened(tmp_path, Wav2Vec2Model), noise([900] * 3)
    expected = encoder(waves)
    found = model(waves.values).last_hidden_state
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert expected.std() > 0.1
    mask = torch.arange(expected.shape[1]).expand(3, -1) % 3 == 0
    masked = model(waves.values, mask_time_indices=mask).last_hidden_state
    torch.testing.assert_close(masked, encoder(waves, mask), **TOLERANCE)
    assert not torch.allclose(masked, found, atol=0.1)


@torch.no_grad()
def test_padded_rows_of_a_wav2vec2_are_ours(tmp_path):
    trial, encoder = of_wav2vec2()
    exported(trial, encoder, tmp_path)
    model, waves = reopened(tmp_path, Wav2Vec2Model), noise([900, 500, 700])
    real = encoder.real(waves)
    mask = torch.arange(900) < torch.tensor(waves.lengths)[:, None]
    found = model(waves.values, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found[real], encoder(waves)[real], **TOLERANCE)


@torch.no_grad()
def test_with_data2vecs_positions_a_contrastive_encoder_is_a_data2vec_audio(tmp_path):
    trial = small_speech_trial(CONTRASTIVE)
    encoder, waves = trained(trial), noise([900] * 3)
    written = exported(trial, encoder, tmp_path)
    assert written.class_name == "Data2VecAudioModel"
    assert written.remarks == (
        "not as Wav2Vec2Model: it has 2 positional convolutions, it must have one "
        "(speech.position_layers: 1); a layer norm follows each of its positional "
        "convolutions, none must (speech.position_norm: none)",
    )
    found = reopened(tmp_path, Data2VecAudioModel)(waves.values).last_hidden_state
    torch.testing.assert_close(found, encoder(waves), **TOLERANCE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            LOG_MEL,
            "its front end is a LogMelFrontEnd, it must be wav2vec 2.0's",
        ),
        (
            GROUP_NORM,
            r"position_norm: none\)\. Hugging Face's Data2VecAudioModel cannot express "
            r"this encoder: .* group norm, .* \(speech.front_end.norm: layer\)$",
        ),
    ],
)
def test_what_no_class_of_speech_can_express_is_refused(change, says, tmp_path):
    trial = small_speech_trial(CONTRASTIVE, {"speech": {"position_layers": 1}}, change)
    with pytest.raises(ValueError, match=says):
        exported(trial, trained(trial), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_plain_positions_are_not_data2vecs(tmp_path):
    encoder = of_wav2vec2()[1]
    says = r"no layer norm, they must have one \(speech.position_norm: layer\)"
    with pytest.raises(ValueError, match=says):
        export_hf_audio(encoder, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_published_sizes_are_base():
    with torch.device("meta"):
        theirs = Wav2Vec2Model(Wav2Vec2Config())
        front_end = {"kind": "wav2vec2", "norm": "group"}
        positions = {"position_layers": 1, "position_kernel": 128}
        config = {"front_end": front_end, "position_norm": "none", **positions}
        ours = build_speech_encoder(SpeechEncoderConfig.model_validate(config))
    count = sum(p.numel() for p in ours.parameters())
    lengths = 128  # of weight norm, one for each place of the kernel
    assert count + lengths == sum(p.numel() for p in theirs.parameters())
