"""wav2vec 2.0: Hugging Face's Wav2Vec2ForPreTraining is the oracle, part by part."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import Wav2Vec2Config
from transformers.models.wav2vec2.modeling_wav2vec2 import (
    Wav2Vec2ForPreTraining,
    Wav2Vec2GumbelVectorQuantizer,
)

from d2v_core.build import build_objective, check_buildable
from d2v_core.errors import ConfigError
from d2v_core.objectives.contrastive import (
    Contrastive,
    gumbel_temperature,
    similarities,
)
from d2v_core.objectives.parts.distractors import others
from d2v_core.objectives.parts.pooled import of_whole_mean
from d2v_core.objectives.parts.quantiser import GumbelQuantiser, perplexities
from d2v_core.training.parallel import ALONE
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_objectives import SMALL_QUANTISER, objective
from tests.d2v_core.small_speech import noise, small_speech_trial

MASK = {"mask": {"kind": "span", "probability": 0.65, "span": 3}}


def built(*changes, **settings):
    trial = small_speech_trial(
        objective("contrastive", **{**SMALL_QUANTISER, **settings}), MASK, *changes
    )
    made = build_objective(trial, num_classes=0)
    assert isinstance(made, Contrastive)
    fill_with_noise(made.module)
    return made


def waves():
    return noise((1_200, 1_200, 1_200))


def hf_quantiser(ours):
    config = Wav2Vec2Config(
        conv_dim=(12,),
        conv_kernel=(3,),
        conv_stride=(2,),
        num_feat_extract_layers=1,
        num_codevector_groups=2,
        num_codevectors_per_group=5,
        codevector_dim=6,
    )
    theirs = Wav2Vec2GumbelVectorQuantizer(config)
    theirs.load_state_dict(
        {
            "codevectors": ours.codes.detach().reshape(1, 10, 3),
            "weight_proj.weight": ours.choose.weight.detach(),
            "weight_proj.bias": ours.choose.bias.detach(),
        }
    )
    return theirs.train()


def their_noise(rows, seed):
    """What gumbel_softmax draws after the seed."""
    torch.manual_seed(seed)
    return -torch.empty(rows * 2, 5).exponential_().log().view(rows, 2, 5)


def test_codes_and_perplexity_are_hugging_faces():
    ours = GumbelQuantiser(dim=12, num_groups=2, num_codes=5, code_width=6)
    theirs = hf_quantiser(ours)
    theirs.temperature = 1.3
    frames = torch.randn(11, 12, generator=torch.Generator().manual_seed(2))
    gumbel = their_noise(11, 4)
    found = ours(frames, gumbel, 1.3)
    quantised, logits = found.vectors, found.logits
    torch.manual_seed(4)
    expected, perplexity = theirs(frames[None])
    torch.testing.assert_close(quantised, expected[0])
    mean = logits.softmax(dim=2).mean(dim=0)
    torch.testing.assert_close(perplexities(mean).sum(), perplexity)

    (quantised.square().sum() + perplexities(mean).sum()).backward()
    (expected.square().sum() + perplexity).backward()
    torch.testing.assert_close(
        ours.codes.grad.reshape(1, 10, 3), theirs.codevectors.grad, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        ours.choose.weight.grad, theirs.weight_proj.weight.grad, atol=1e-4, rtol=1e-4
    )


def test_the_whole_loss_is_hugging_faces_plus_the_penalty():
    """Their loss sums over masked frames, has no penalty; the rest is the same."""
    made, inputs = built(feature_gradient=0.1), waves()
    draw = made.draw(inputs, 3)
    result = made.loss(inputs, None, draw, 3)

    front, module = made.encoder.front_end, made.module
    frames = front.frames(inputs.values, inputs.lengths)
    masked = front.normed(frames).flatten(0, 1)[draw.positions]
    temperature = gumbel_temperature(3, start=2.0, end=0.5, anneal_steps=4)
    quantised = module["quantiser"](masked, draw.noise, temperature)
    candidates = module["project_codes"](quantised.vectors)
    encoded = made.encoder(inputs, draw.mask).flatten(0, 1)[draw.positions]
    predictions = module["project_tokens"](encoded)
    wrong = candidates[draw.distractor_rows].permute(1, 0, 2)
    theirs = Wav2Vec2ForPreTraining.compute_contrastive_logits(
        candidates[None], wrong, predictions, 0.1
    )
    same = (quantised.chosen == quantised.chosen[draw.distractor_rows.T]).all(-1)
    theirs[1:][same] = float("-inf")
    contrastive = F.cross_entropy(
        theirs.T, torch.zeros(len(predictions), dtype=torch.long), reduction="sum"
    )
    perplexity = Wav2Vec2GumbelVectorQuantizer._compute_perplexity(
        quantised.logits.softmax(dim=2)
    )
    count = len(draw.positions)
    diversity = (10 - perplexity) / 10 * count
    expected = (contrastive + 0.1 * diversity) / count + 10 * frames.square().mean()
    torch.testing.assert_close(result.loss, expected, atol=1e-4, rtol=1e-4)
    assert result.num_terms == count


def test_distractors_are_other_masked_frames_of_the_same_utterance():
    made = built({"mask": {"kind": "span", "span": 2, "same_count": False}})
    draw = made.draw(noise((1_500, 900, 1_300)), 2)
    utterance = draw.mask.nonzero()[:, 0]
    rows = draw.distractor_rows
    assert torch.equal(utterance[rows], utterance[:, None].expand_as(rows))
    assert (rows != torch.arange(len(rows))[:, None]).all()


def test_every_other_frame_is_drawn_equally_often():
    drawn = others(5, 40_000, np.random.default_rng(0))
    for own, row in enumerate(drawn):
        counts = np.bincount(row, minlength=5)
        assert counts[own] == 0
        assert np.delete(counts, own) == pytest.approx(10_000, rel=0.05)
    assert others(1, 3, np.random.default_rng(0)).tolist() == [[0, 0, 0]]


def test_the_noise_is_gumbels():
    drawn = built().draw(waves(), 1).noise
    more = torch.cat([built().draw(waves(), step).noise for step in range(2, 40)])
    assert drawn.shape[1:] == (2, 5)
    assert float(more.mean()) == pytest.approx(0.5772, abs=0.03)
    assert float(more.std()) == pytest.approx(np.pi / 6**0.5, abs=0.03)


def test_a_distractor_equal_to_the_answer_is_left_out():
    candidates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = similarities(
        candidates,
        candidates,
        torch.tensor([[3], [3], [1]]),
        torch.tensor([[1, 2], [0, 2], [0, 1]]),
    )
    inf = float("inf")
    assert found.tolist() == [[1, -inf, 0], [1, -inf, 0], [1, 0, 0]]


def test_a_collapsed_code_book_is_seen_though_the_accuracy_is_perfect():
    made, inputs = built(min_code_perplexity=2.0), waves()
    quantiser = made.module["quantiser"]
    with torch.no_grad():
        quantiser.choose.weight.zero_()
        quantiser.choose.bias.zero_()
        quantiser.choose.bias[[0, 5]] = 100.0
    measured = made.loss(inputs, None, made.draw(inputs, 1), 1).measure()
    assert measured["prediction/accuracy"] == 1.0
    assert measured["codes/perplexity"] == pytest.approx(1.0)
    assert measured["codes/perplexity"] < made.thresholds["codes/perplexity"]


def test_the_temperature_falls_by_the_published_factor():
    at = [
        gumbel_temperature(step, start=2.0, end=0.5, anneal_steps=277_260)
        for step in (1, 2, 277_261, 400_000)
    ]
    assert at[0] == 2.0
    assert at[1] / at[0] == pytest.approx(0.999995, abs=1e-9)
    assert at[2:] == [0.5, 0.5]
    assert gumbel_temperature(1, start=2.0, end=0.5, anneal_steps=0) == 0.5


def test_the_convolutions_get_a_tenth_of_the_gradient():
    grads = []
    for factor in (1.0, 0.1):
        made, inputs = built(feature_gradient=factor), waves()
        made.loss(inputs, None, made.draw(inputs, 1), 1).loss.backward()
        convolution = made.encoder.front_end.extractor.conv_layers[0].conv
        projection = made.encoder.front_end.projection
        grads.append((convolution.weight.grad, projection.weight.grad))
    torch.testing.assert_close(grads[1][0], 0.1 * grads[0][0])
    torch.testing.assert_close(grads[1][1], grads[0][1])


def test_alone_a_function_of_the_mean_is_just_that():
    rows = torch.randn(5, 3, requires_grad=True)
    found = of_whole_mean(lambda mean, num: mean.square().sum() * num, rows, ALONE)
    torch.testing.assert_close(found, 5 * rows.mean(dim=0).square().sum())


def test_codes_must_be_shared_out_among_the_groups():
    with pytest.raises(ConfigError) as error:
        check_buildable(small_speech_trial(objective("contrastive", code_width=7)))
    assert str(error.value) == (
        "objective.code_width: must be divisible by objective.num_groups (2), got 7"
    )
