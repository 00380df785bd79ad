"""Linear probes of single words: which one is hidden, and which part of speech it is.

Scores of whole texts separate small text encoders badly: most of what they need stands
in the words themselves, which an untrained encoder passes on. A hidden word can only be
told from its context, which is what pre-training is to learn. Thousands of words come
with any text, so the score hardly hangs on which were drawn; the same ones are asked of
every encoder. As Shi et al. 2016 and Hewitt and Liang 2019 probe, but that the word is
replaced by ``<mask>``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float

from d2v_core.config.text import TextEvaluation
from d2v_core.data.splits import SPLIT_SEED
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.data.text.words import Sentences, WordCorpus, positions
from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import BOS, EOS, MASK
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import Features, accuracy, fit_probes
from d2v_core.evaluation.text.features import read_rows

NUM_WORDS = 100
"""Different hidden words: the most frequent ones of the training split."""
NUM_TAGS = 50
"""Tags, likewise; Penn Treebank's are 45."""
NUM_SAMPLES = {"train": 3_000, "valid": 1_000, "test": 2_000}
"""Words of each split that are hidden, or all there are; as many are seen."""


@dataclass(frozen=True)
class WordRows:
    """Words to be told, in their rows.

    Attributes:
        rows: Token ids.
        places: Row of each word, and the token at which the encoder's output is taken;
            int64 of shape (words, 2).
        positions: Sentence and place in it of each word, likewise.
    """

    rows: Sequence[np.ndarray]
    places: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class _Classes:
    """What is asked of a word.

    Attributes:
        of: Class of the word at a sentence and a place in it; None: it is not asked.
        count: Number of classes.
    """

    of: Callable[[Sentences, int, int], int | None]
    count: int


def probe_words(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    corpus: WordCorpus,
    config: TextEvaluation,
) -> Evaluation:
    """Fit on words of ``train``, select L2 on ``valid``, report ``test``, in per cent.

    ``eval/masked_word_accuracy``: which of the 100 most frequent words is hidden. Where
    tags are known, ``eval/masked_tag_accuracy`` is of the tag of a hidden word, and
    ``eval/tag_accuracy`` of one that is seen.

    Args:
        encoder: Left as it is.
        tokenizer: The encoder's.
        corpus: The text.
        config: L2 grid, and how many blocks are averaged.
    """
    read = partial(_read, encoder, tokenizer, corpus, config.num_layers)
    probe = partial(
        _probe, corpus=corpus, config=config, device=next(encoder.parameters()).device
    )
    hidden = read(hidden_words)
    result = probe("masked_word", _word_classes(corpus), hidden)
    if corpus.train.tags is not None:
        tags = _tag_classes(corpus)
        result = result.joined(probe("masked_tag", tags, hidden))
        result = result.joined(probe("tag", tags, read(seen_words)))
    return result


def _word_classes(corpus: WordCorpus) -> _Classes:
    counts = Counter(w.lower() for words in corpus.train.words for w in words)
    index = {word: i for i, (word, _) in enumerate(counts.most_common(NUM_WORDS))}
    return _Classes(
        lambda split, i, j: index.get(split.words[i][j].lower()), len(index)
    )


def _tag_classes(corpus: WordCorpus) -> _Classes:
    counts = Counter(tag for tags in corpus.train.tags or () for tag in tags)
    index = {tag: i for i, (tag, _) in enumerate(counts.most_common(NUM_TAGS))}

    def tag_of(split: Sentences, i: int, j: int) -> int | None:
        return None if split.tags is None else index.get(split.tags[i][j])

    return _Classes(tag_of, len(index))


_Drawn = Mapping[str, tuple[Float[np.ndarray, "words dim"], np.ndarray]]
"""Features and positions of the words of each split."""


def _read(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    corpus: WordCorpus,
    num_layers: int,
    draw: Callable[..., WordRows],
) -> _Drawn:
    drawn = {}
    for split, size in NUM_SAMPLES.items():
        sentences: Sentences = getattr(corpus, split)
        words = draw(sentences, tokenizer, size=size, max_tokens=encoder.max_tokens)
        features = word_features(encoder, words, num_layers=num_layers)
        drawn[split] = features, words.positions
    return drawn


def _probe(
    name: str,
    classes: _Classes,
    drawn: _Drawn,
    *,
    corpus: WordCorpus,
    config: TextEvaluation,
    device: torch.device,
) -> Evaluation:
    def labelled(split: str) -> Features:
        (features, positions), sentences = drawn[split], getattr(corpus, split)
        labels = [classes.of(sentences, i, j) for i, j in positions.tolist()]
        asked = np.array([label is not None for label in labels])
        kept = np.array([label for label in labels if label is not None], np.int64)
        return Features(features[asked], kept)

    train, valid, test = map(labelled, NUM_SAMPLES)
    what = name.replace("_", " ")
    if not all(len(split.labels) for split in (train, valid, test)):
        note = f"no {what} probe: a split of evaluation.words has no word to ask for"
        return Evaluation({}, {}, (note,))
    fitted = fit_probes(
        train,
        [np.arange(len(train.labels))],
        valid,
        l2_grid=config.l2_grid,
        score=accuracy,
        num_classes=classes.count,
        device=device,
        closed_form=True,
    )
    reached = accuracy(test.labels, fitted.predict(test.features)[0])
    return Evaluation(
        metrics={
            f"eval/{name}_accuracy": 100.0 * reached,
            f"eval/{name}_validation_accuracy": 100.0 * fitted.validation_scores[0],
        },
        choices={f"evaluation.{name}_l2": fitted.median_l2},
        notes=fitted.notes(f"the {what} probe's"),
    )


def hidden_words(
    split: Sentences, tokenizer: TextTokenizer, *, size: int, max_tokens: int
) -> WordRows:
    """Draw words, always the same ones; each is hidden in a row of its own.

    It is one ``<mask>``, however many tokens it has. A sentence that is longer than a
    row is cut on both sides, so that the word stays in the middle.

    Args:
        split: The sentences.
        tokenizer: Encodes each word with the blank before it.
        size: At most so many words.
        max_tokens: Most tokens of a row, ``<s>`` and ``</s>`` included.
    """
    everywhere = positions(split)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(everywhere))[:size]
    drawn = everywhere[order]
    ids_of = _tokenised(split, sorted(set(drawn[:, 0].tolist())), tokenizer)
    rows, places = [], []
    for n, (i, j) in enumerate(drawn.tolist()):
        row, place = _hidden(ids_of[i], j, max_tokens)
        rows.append(row)
        places.append((n, place))
    return WordRows(rows, np.array(places), drawn)


def _hidden(
    ids: Sequence[Sequence[int]], j: int, max_tokens: int
) -> tuple[np.ndarray, int]:
    """The row of a word of a sentence, and its place in it."""
    # What is further away than a row is long does not fit.
    before = [token for word in ids[max(0, j - max_tokens) : j] for token in word]
    after = [token for word in ids[j + 1 : j + 1 + max_tokens] for token in word]
    room = max_tokens - 3
    left = min(len(before), max(room // 2, room - len(after)))
    kept = before[len(before) - left :]
    return np.array([BOS, *kept, MASK, *after[: room - left], EOS]), 1 + left


def seen_words(
    split: Sentences, tokenizer: TextTokenizer, *, size: int, max_tokens: int
) -> WordRows:
    """Draw sentences, always the same ones, until they have so many words.

    A word is taken at its first token; of a sentence that is longer than a row, those
    that fit.

    Args:
        split: The sentences.
        tokenizer: Encodes each word with the blank before it.
        size: At most so many words.
        max_tokens: Most tokens of a row, ``<s>`` and ``</s>`` included.
    """
    rows: list[np.ndarray] = []
    places: list[tuple[int, int]] = []
    pairs: list[tuple[int, int]] = []
    order = np.random.default_rng(SPLIT_SEED).permutation(len(split))[:size].tolist()
    ids_of = _tokenised(split, order, tokenizer)
    for i in order:
        row = [BOS]
        for j, ids in enumerate(ids_of[i]):
            if len(row) + len(ids) >= max_tokens or len(pairs) == size:
                break
            places.append((len(rows), len(row)))
            pairs.append((i, j))
            row += ids
        rows.append(np.array([*row, EOS]))
        if len(pairs) == size:
            break
    return WordRows(rows, np.array(places), np.array(pairs))


def _tokenised(
    split: Sentences, sentences: Sequence[int], tokenizer: TextTokenizer
) -> dict[int, list[list[int]]]:
    """Token ids of each word of some sentences, which are those of the whole text."""
    said = {
        i: [f" {word}" if j else word for j, word in enumerate(split.words[i])]
        for i in sentences
    }
    different = list({word: None for words in said.values() for word in words})
    ids_of = dict(zip(different, tokenizer.bare(different), strict=True))
    return {i: [ids_of[word] for word in words] for i, words in said.items()}


def word_features(
    encoder: TextEncoder, words: WordRows, *, num_layers: int = 1
) -> Float[np.ndarray, "words dim"]:
    """The encoder's output at each word, float32, in evaluation mode.

    Args:
        encoder: Left as it is.
        words: In their rows.
        num_layers: Blocks whose outputs are averaged; 1: the final output.
    """
    features = np.zeros((len(words.places), encoder.dim), dtype=np.float32)
    for batch, _, tokens in read_rows(encoder, words.rows, num_layers=num_layers):
        place_of = {row: n for n, row in enumerate(batch.tolist())}
        here = np.flatnonzero(np.isin(words.places[:, 0], batch))
        rows = torch.tensor([place_of[row] for row in words.places[here, 0].tolist()])
        columns = torch.from_numpy(words.places[here, 1])
        at_words = tokens[rows.to(tokens.device), columns.to(tokens.device)]
        features[here] = at_words.float().cpu().numpy()
    return features
