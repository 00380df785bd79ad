import math
from dataclasses import replace

import pytest
import torch

from d2v_core.build import check_buildable
from d2v_core.config.speech import SpeechTrial
from d2v_core.encoders.encoder import Collect
from d2v_core.encoders.inputs import Padded
from d2v_core.modalities.speech import build_speech_encoder
from d2v_core.training.health import effective_rank
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_speech import LOG_MEL, PATCHES, noise, small_speech_trial
from tests.d2v_core.updates import top_layers

LENGTHS = (900, 400, 650)
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
KINDS = {
    "published": {},
    "pre-norm": {"speech": {"norm": "pre"}},
    "group norm": {
        "speech": {"front_end": {"kind": "wav2vec2", "channels": 12, "norm": "group"}},
        "waveform": {"max_seconds": 0.5},
    },
    "log mel": LOG_MEL,
    "patches": PATCHES,
    "even kernel": {"speech": {"position_kernel": 4}},
}
LONG = {"group norm": 4, "log mel": 4}
"""Times as long: their windows are 400 samples."""


def small_encoder(*changes):
    encoder = build_speech_encoder(small_speech_trial(*changes).speech)
    fill_with_noise(encoder)
    return encoder.eval()


@pytest.fixture(params=KINDS)
def case(request):
    lengths = tuple(n * LONG.get(request.param, 1) for n in LENGTHS)
    return small_encoder(KINDS[request.param]), noise(lengths)


def some_mask(encoder, waves):
    frames = encoder.frame_lengths(waves)
    place = torch.arange(max(frames))
    return (place % 3 == 0) & (place < torch.tensor(frames)[:, None])


@torch.no_grad()
def test_padding_changes_nothing(case):
    encoder, waves = case
    mask = some_mask(encoder, waves)
    together = encoder(waves, mask)
    garbage = noise(waves.lengths, padding=30.0)
    torch.testing.assert_close(
        encoder(garbage, mask)[encoder.real(waves)],
        together[encoder.real(waves)],
        **CLOSE,
    )
    for feature in ("ffn", "attention", "ffn_residual", "block"):
        layers = top_layers(encoder, waves, feature=feature, top_k=3)
        for i, length in enumerate(waves.lengths):
            row = Padded(waves.values[i : i + 1, :length], (length,))
            assert encoder.real(row) is None
            (frames,) = encoder.frame_lengths(row)
            alone = encoder(row, mask[i : i + 1, :frames])[0]
            torch.testing.assert_close(together[i, :frames], alone, **CLOSE)
            for layer, its in zip(
                layers, top_layers(encoder, row, feature=feature, top_k=3), strict=True
            ):
                torch.testing.assert_close(layer[i, :frames], its[0], **CLOSE)


@torch.no_grad()
def test_rows_of_a_batch_are_independent(case):
    encoder, waves = case
    order = [2, 0, 1]
    shuffled = Padded(waves.values[order], tuple(waves.lengths[i] for i in order))
    real = encoder.real(shuffled)
    torch.testing.assert_close(
        encoder(shuffled)[real], encoder(waves)[order][real], **CLOSE
    )


@torch.no_grad()
def test_the_student_does_not_see_masked_frames():
    encoder = small_encoder()
    waves = noise(LENGTHS)
    seen, mask = encoder.embed(waves), some_mask(encoder, waves)
    values = torch.where(mask[:, :, None], seen.values + 7.0, seen.values)
    changed = replace(seen, values=values)

    def output(tokens, mask=None):
        return encoder.encode(tokens, mask).tokens

    assert torch.equal(output(changed, mask), output(seen, mask))
    assert not torch.allclose(output(changed), output(seen), atol=1e-3)


def test_input_dropout_comes_before_the_mask_token():
    encoder = small_encoder({"speech": {"input_dropout": 0.9}}).train()
    seen = encoder.embed(noise([900]))
    everything = torch.ones(seen.values.shape[:2], dtype=torch.bool)
    for mask, alike in ((everything, True), (None, False)):
        one, two = (encoder.encode(seen, mask).tokens for _ in range(2))
        assert torch.equal(one, two) == alike


def test_local_features_are_the_convolutions_of_real_frames():
    encoder = small_encoder()
    waves = noise(LENGTHS, padding=30.0)
    local = encoder.local_features(waves)
    rows = [
        encoder.front_end.extractor(waves.values[i : i + 1, :length], None)[0][0]
        for i, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(local, torch.cat(rows).detach(), **CLOSE)
    assert not local.requires_grad


def test_a_dead_front_end_is_seen_where_targets_look_alive():
    encoder = small_encoder()
    waves = noise(LENGTHS)
    assert effective_rank(encoder.local_features(waves)) > 3.0
    with torch.no_grad():
        encoder.front_end.extractor.conv_layers[1].conv.weight.zero_()
    assert effective_rank(encoder.local_features(waves)) < 1e-3


def test_local_features_of_log_mel_are_projected():
    encoder = small_encoder(LOG_MEL)
    local = encoder.local_features(noise([3_600, 2_000]))
    assert local.shape == (11 + 6, 16)


def test_the_parts_are_the_front_end_and_the_positions():
    encoder = small_encoder()
    names = {name for name, _ in encoder.named_parameters()}
    features = encoder.part_names(["feature_encoder"])
    positions = encoder.part_names(["positions"])
    assert {name.split(".")[0] for name in features} == {"front_end"}
    assert {name.split(".")[0] for name in positions} == {"positions"}
    rest = {name.split(".")[0] for name in names - features - positions}
    assert rest == {"mask_token", "norm", "transformer"}


def test_a_restricted_teacher_sees_only_near_frames():
    encoder = small_encoder({"speech": {"depth": 1}, "target": {"top_k": 1}})
    features = encoder.embed(noise([1_800])).detach()
    far = features.values.clone()
    far[:, 40:] += 5.0
    changed = replace(features, values=far)

    def targets(tokens):
        encoded = encoder.encode(tokens, collect=Collect(1, ("ffn",)))
        return encoded.layers["ffn"][0][0].detach()

    with encoder.restriction(0.05)(encoder):
        near, same = targets(features), targets(changed)
    # 4 of 88 frames are attended to, and positions see 4 frames to each side.
    assert torch.equal(near[:30], same[:30])
    assert not torch.allclose(targets(features)[:30], targets(changed)[:30])


def test_initial_weights_are_the_references():
    torch.manual_seed(0)
    encoder = build_speech_encoder(
        small_speech_trial({"speech": {"width": 256, "position_groups": 16}}).speech
    )
    token = encoder.mask_token.detach()
    assert float(token.min()) >= 0.0
    assert float(token.max()) < 1.0
    assert float(token.std()) == pytest.approx(1 / math.sqrt(12), abs=0.05)
    fc1 = encoder.transformer.blocks[0].fc1
    assert float(fc1.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert not fc1.bias.any()
    conv = encoder.front_end.extractor.conv_layers[1].conv  # Kaiming: 2 / fan in
    assert float(conv.weight.detach().std()) == pytest.approx(
        math.sqrt(2 / 36), rel=0.1
    )
    bound = 1 / math.sqrt(12)  # PyTorch's default
    projection = encoder.front_end.projection.weight.detach()
    assert float(projection.abs().max()) == pytest.approx(bound, rel=0.01)


def test_the_published_encoder_has_the_parameters_counted_by_hand():
    convolutions = 512 * 10 + 4 * (512 * 512 * 3) + 2 * (512 * 512 * 2)
    norms = 7 * 2 * 512
    projection = 2 * 512 + 512 * 768 + 768
    positions = 5 * (768 * (768 // 16) * 19 + 768)
    attention = 4 * (768 * 768 + 768)
    feed_forward = 768 * 3072 + 3072 + 3072 * 768 + 768
    block = attention + feed_forward + 2 * 2 * 768
    mask_token, input_norm = 768, 2 * 768
    around = convolutions + norms + projection + positions + mask_token + input_norm
    expected = around + 12 * block
    assert check_buildable(SpeechTrial()) == expected


def test_log_mel_is_built_without_memory_too():
    trial = small_speech_trial(LOG_MEL)
    weights = sum(p.numel() for p in build_speech_encoder(trial.speech).parameters())
    assert check_buildable(trial) == weights
