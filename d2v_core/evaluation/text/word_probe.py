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
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from d2v_core.config.text import TextEvaluation
from d2v_core.data.splits import SPLIT_SEED
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.data.text.words import Sentences, WordCorpus, positions
from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import BOS, EOS, MASK, pad_rows
from d2v_core.evaluation.features import frozen_tokens
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.probe import Features, accuracy, fit_probes

NUM_WORDS = 100
"""Different hidden words: the most frequent ones of the training split."""
NUM_TAGS = 50
"""Tags, likewise; Penn Treebank's are 45."""
NUM_SAMPLES = {"train": 6_000, "valid": 1_500, "test": 3_000}
"""Words of each split, or all there are."""
BATCH_SIZE = 128


@dataclass(frozen=True)
class WordRows:
    """Words to be told, each in a row of its own.

    Attributes:
        rows: Token ids; the word is in the middle, as far as its sentence goes.
        places: Token of each row at which the encoder's output is taken.
        labels: Class of each word.
    """

    rows: Sequence[np.ndarray]
    places: np.ndarray
    labels: np.ndarray


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
    probes = [("masked_word", _word_classes(corpus), True)]
    if corpus.train.tags is not None:
        tags = _tag_classes(corpus)
        probes += [("masked_tag", tags, True), ("tag", tags, False)]
    result = Evaluation({}, {})
    for name, classes, hides in probes:
        result = result.joined(
            _probe(name, classes, hides, encoder, tokenizer, corpus, config)
        )
    return result


Labels = Callable[[Sentences, int, int], int | None]
"""Class of the word at a sentence and a place in it; None: it is none of them."""


def _word_classes(corpus: WordCorpus) -> tuple[Labels, int]:
    counts = Counter(w.lower() for words in corpus.train.words for w in words)
    index = {word: i for i, (word, _) in enumerate(counts.most_common(NUM_WORDS))}
    return lambda split, i, j: index.get(split.words[i][j].lower()), len(index)


def _tag_classes(corpus: WordCorpus) -> tuple[Labels, int]:
    counts = Counter(tag for tags in corpus.train.tags or () for tag in tags)
    index = {tag: i for i, (tag, _) in enumerate(counts.most_common(NUM_TAGS))}

    def label(split: Sentences, i: int, j: int) -> int | None:
        return None if split.tags is None else index.get(split.tags[i][j])

    return label, len(index)


def _probe(
    name: str,
    classes: tuple[Labels, int],
    hides: bool,
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    corpus: WordCorpus,
    config: TextEvaluation,
) -> Evaluation:
    label, num_classes = classes
    splits = []
    for split, size in NUM_SAMPLES.items():
        rows = word_rows(
            getattr(corpus, split),
            tokenizer,
            label,
            size=size,
            max_tokens=encoder.max_tokens,
            hides=hides,
        )
        features = word_features(encoder, rows, num_layers=config.num_layers)
        splits.append(Features(features, rows.labels))
    train, valid, test = splits
    fitted = fit_probes(
        train,
        [np.arange(len(train.labels))],
        valid,
        l2_grid=config.l2_grid,
        score=accuracy,
        num_classes=num_classes,
        device=next(encoder.parameters()).device,
    )
    reached = accuracy(test.labels, fitted.predict(test.features)[0])
    return Evaluation(
        metrics={
            f"eval/{name}_accuracy": 100.0 * reached,
            f"eval/{name}_validation_accuracy": 100.0 * fitted.validation_scores[0],
        },
        choices={f"evaluation.{name}_l2": fitted.median_l2},
        notes=fitted.notes(f"the {name.replace('_', ' ')} probe's"),
    )


def word_rows(
    split: Sentences,
    tokenizer: TextTokenizer,
    label: Labels,
    *,
    size: int,
    max_tokens: int,
    hides: bool,
) -> WordRows:
    """Draw words of a split, always the same ones, each with its context.

    A hidden word is one ``<mask>``, however many tokens it has; one that is seen is
    taken at its first token. A sentence that is longer than a row is cut on both sides.

    Args:
        split: The sentences.
        tokenizer: Encodes each word with the blank before it.
        label: Words without one are not drawn.
        size: At most so many.
        max_tokens: Of a row, ``<s>`` and ``</s>`` included.
        hides: Whether the words are hidden.
    """
    rows, places, labels = [], [], []
    order = np.random.default_rng(SPLIT_SEED).permutation(positions(split))
    for i, j in order.tolist():
        if (of_word := label(split, i, j)) is None:
            continue
        row, place = _around(split.words[i], j, tokenizer, max_tokens, hides)
        rows.append(row)
        places.append(place)
        labels.append(of_word)
        if len(rows) == size:
            break
    return WordRows(rows, np.array(places), np.array(labels))


def _around(
    words: Sequence[str], j: int, tokenizer: TextTokenizer, max_tokens: int, hides: bool
) -> tuple[np.ndarray, int]:
    """The row of a word and its place in it."""
    first = max(0, j - max_tokens)  # what is further away does not fit
    near = words[first : j + max_tokens]
    ids = tokenizer.bare([f"{' ' if first + n else ''}{w}" for n, w in enumerate(near)])
    j -= first
    before = [token for word in ids[:j] for token in word]
    after = [token for word in ids[j + 1 :] for token in word]
    middle = [MASK] if hides else ids[j][: max_tokens - 2]
    room = max_tokens - 2 - len(middle)
    left = min(len(before), max(room // 2, room - len(after)))
    right = min(len(after), room - left)
    kept = before[len(before) - left :]
    return np.array([BOS, *kept, *middle, *after[:right], EOS]), 1 + left


@torch.no_grad()
def word_features(
    encoder: TextEncoder, words: WordRows, *, num_layers: int = 1
) -> Float[np.ndarray, "words dim"]:
    """The encoder's output at each word, float32, in evaluation mode.

    Args:
        encoder: Left as it is.
        words: The rows; those of like length are read together.
        num_layers: Blocks whose outputs are averaged; 1: the final output.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    order = np.argsort([len(row) for row in words.rows], kind="stable")
    features = np.zeros((len(order), encoder.dim), dtype=np.float32)
    for start in range(0, len(order), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        inputs = pad_rows([words.rows[i] for i in batch]).to(device)
        tokens = frozen_tokens(encoder, inputs, num_layers=num_layers)
        places = torch.from_numpy(words.places[batch]).to(device)
        at_words = tokens[torch.arange(len(batch), device=device), places]
        features[batch] = at_words.float().cpu().numpy()
    encoder.train(was_training)
    return features
