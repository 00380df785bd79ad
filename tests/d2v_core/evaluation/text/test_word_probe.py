from dataclasses import replace

import numpy as np
import pytest
import torch

from d2v_core.build import build_encoder
from d2v_core.data.text.words import Sentences, WordCorpus
from d2v_core.encoders.inputs import Padded
from d2v_core.encoders.token_inputs import BOS, EOS, MASK
from d2v_core.evaluation.text import word_probe
from d2v_core.evaluation.text.evaluate import evaluate_texts
from d2v_core.evaluation.text.word_probe import (
    hidden_words,
    probe_words,
    seen_words,
    word_features,
)
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_text import (
    WORDS,
    small_text_dataset,
    small_text_trial,
    small_tokenizer,
)


def sentences(count, seed, *, told=True):
    """The third word follows from the second, if ``told``, and is its own tag."""
    generator = np.random.default_rng(seed)
    first = generator.choice(WORDS[:4], (count, 2))
    rest = generator.choice(WORDS[4:], count)
    words = tuple(
        (a, b, WORDS[4 + WORDS.index(b)] if told else c)
        for (a, b), c in zip(first.tolist(), rest.tolist(), strict=True)
    )
    return Sentences(words, tuple(("early", "early", w) for *_, w in words))


def corpus(**options):
    parts = (
        sentences(n, seed, **options) for n, seed in ((400, 0), (100, 1), (200, 2))
    )
    return WordCorpus("made", *parts)


@pytest.fixture
def encoder():
    encoder = build_encoder(small_text_trial())
    fill_with_noise(encoder)
    return encoder


@pytest.mark.parametrize("max_tokens", [8, 11, 24])
def test_a_hidden_word_has_as_much_context_as_fits(max_tokens):
    tokenizer = small_tokenizer()
    words = tuple(np.random.default_rng(0).choice(WORDS, 9).tolist())
    split = Sentences((words, words[:2]))
    drawn = hidden_words(split, tokenizer, size=99, max_tokens=max_tokens)
    assert len({tuple(position) for position in drawn.positions.tolist()}) == 11
    for n, row in enumerate(drawn.rows):
        (r, place), (i, j) = drawn.places[n].tolist(), drawn.positions[n].tolist()
        assert r == n
        assert (row[0], row[-1]) == (BOS, EOS)
        assert len(row) <= max_tokens
        np.testing.assert_array_equal(np.flatnonzero(row == MASK), [place])
        before = tokenizer.decode(row[1:place].tolist()).strip()
        after = tokenizer.decode(row[place + 1 : -1].tolist()).strip()
        said = split.words[i]
        assert " ".join(said[:j]).endswith(before)
        assert " ".join(said[j + 1 :]).startswith(after)
        whole = tokenizer.bare([" ".join(said)])[0]
        if len(whole) > max_tokens:
            assert len(row) >= max_tokens - 1  # nothing that fits is left out


@pytest.mark.parametrize("max_tokens", [8, 24])
def test_seen_words_are_those_of_the_sentence(max_tokens):
    tokenizer, split = small_tokenizer(), sentences(20, 3)
    drawn = seen_words(split, tokenizer, size=50, max_tokens=max_tokens)
    whole = tokenizer.rows([" ".join(words) for words in split.words], max_tokens)
    assert len(drawn.places) == len(drawn.positions) == 50
    for (r, place), (i, j) in zip(
        drawn.places.tolist(), drawn.positions.tolist(), strict=True
    ):
        row = drawn.rows[r]
        assert len(row) <= max_tokens
        np.testing.assert_array_equal(row[:-1], whole[i][: len(row) - 1])
        word = tokenizer.bare([f" {split.words[i][j]}" if j else split.words[i][j]])[0]
        np.testing.assert_array_equal(row[place : place + len(word)], word)


@pytest.mark.parametrize("draw", [hidden_words, seen_words])
def test_the_same_words_are_drawn_every_time(draw):
    tokenizer, split = small_tokenizer(), sentences(50, 3)
    a, b = (draw(split, tokenizer, size=size, max_tokens=24) for size in (20, 40))
    assert len(a.positions) == 20
    np.testing.assert_array_equal(a.positions, b.positions[:20])
    np.testing.assert_array_equal(a.places, b.places[:20])


@pytest.mark.parametrize("draw", [hidden_words, seen_words])
def test_features_are_the_encoders_output_at_the_word(encoder, draw):
    words = draw(sentences(90, 4), small_tokenizer(), size=200, max_tokens=24)
    found = word_features(encoder.train(), words)
    assert encoder.training
    encoder.eval()
    for (r, place), feature in zip(words.places.tolist(), found, strict=True):
        row = words.rows[r]
        inputs = Padded(torch.from_numpy(row)[None], (len(row),))
        with torch.no_grad():
            expected = encoder(inputs)[0, place].numpy()
        np.testing.assert_allclose(feature, expected, atol=1e-4)


def test_a_hidden_word_is_found_where_its_context_tells_it(encoder):
    evaluation = small_text_trial().evaluation
    told, untold = (
        probe_words(encoder, small_tokenizer(), corpus(told=x), evaluation).metrics
        for x in (True, False)
    )
    assert set(told) == {
        f"eval/{name}_{split}accuracy"
        for name in ("masked_word", "masked_tag", "tag")
        for split in ("", "validation_")
    }
    # The third word's tag is itself: a third of all words, at chance one of four.
    assert told["eval/masked_tag_accuracy"] > untold["eval/masked_tag_accuracy"] + 10
    assert untold["eval/masked_tag_accuracy"] == pytest.approx(75, abs=4)
    assert untold["eval/tag_accuracy"] > 90  # seen
    assert told["eval/masked_word_accuracy"] > untold["eval/masked_word_accuracy"] + 10


def test_the_most_frequent_words_are_asked_for(encoder, monkeypatch):
    monkeypatch.setattr(word_probe, "NUM_WORDS", 1)
    plain = corpus()
    plain = WordCorpus("plain", *(Sentences(s.words) for s in _splits(plain)))
    found = probe_words(
        encoder, small_tokenizer(), plain, small_text_trial().evaluation
    )
    assert found.metrics["eval/masked_word_accuracy"] == 100.0  # one class
    assert "eval/tag_accuracy" not in found.metrics


def test_a_split_with_no_word_to_ask_for_is_told(encoder):
    parts = _splits(corpus())
    strange = WordCorpus("odd", parts[0], Sentences((("yak", "zebu"),)), parts[2])
    found = probe_words(
        encoder, small_tokenizer(), strange, small_text_trial().evaluation
    )
    assert "eval/masked_word_accuracy" not in found.metrics
    assert any("no masked word probe" in note for note in found.notes)
    assert not any(np.isnan(value) for value in found.metrics.values())


def _splits(corpus):
    return corpus.train, corpus.valid, corpus.test


def test_it_stands_beside_the_tasks_and_without_them(encoder):
    dataset = small_text_dataset()
    config = small_text_trial().evaluation
    alone = evaluate_texts(encoder, dataset, config, seed=0)
    with_words = evaluate_texts(
        encoder, _with_words(dataset, dataset.tasks), config, seed=0
    )
    assert alone.metrics.items() <= with_words.metrics.items()
    assert "eval/masked_word_accuracy" in with_words.metrics
    without = evaluate_texts(encoder, _with_words(dataset, ()), config, seed=0)
    assert "eval/masked_tag_accuracy" in without.metrics
    assert not any("RankMe" in note for note in without.notes)
    assert list(without.metrics)[-1] == "eval/rankme"


def _with_words(dataset, tasks):
    return replace(dataset, tasks=tasks, words=corpus())
