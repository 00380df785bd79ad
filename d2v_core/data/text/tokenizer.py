"""Byte-level BPE (GPT-2's and RoBERTa's), trained on the training text; or bytes.

Paper section 4.3 takes RoBERTa's vocabulary of 50k types; this one is trained, so that
any corpus and any size of vocabulary work without a download. Training depends on the
text and the size alone, and happens once: the result lies in the cache. Bytes as tokens
(ByT5, arXiv 2105.13626) need no training: they are the BPE without any merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import BpeTrainer

from d2v_core.config.choices import TokenKind
from d2v_core.data.cache import CacheEntry
from d2v_core.encoders.token_inputs import BOS, EOS, SPECIAL_TOKENS, UNK

NUM_BYTES = 256
VERSION = 1
"""Part of the names of cached files; raise it when training changes."""


class TextTokenizer:
    """Converter of text to token ids, special tokens included.

    What looks like a special token in the text (``<pad>``, ``<mask>``) is text.

    Args:
        json: As ``tokenizers`` writes it.
    """

    def __init__(self, json: str) -> None:
        self.json = json
        self._tokenizer = Tokenizer.from_str(json)
        self._tokenizer.encode_special_tokens = True

    @property
    def num_tokens(self) -> int:
        """Number of tokens; fewer than asked for where the text is small."""
        size: int = self._tokenizer.get_vocab_size()
        return size

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids to text, special ones left out."""
        text: str = self._tokenizer.decode(list(ids))
        return text

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode each text, nothing added and nothing cut."""
        encoded = self._tokenizer.encode_batch_fast(
            list(texts), add_special_tokens=False
        )
        return [encoding.ids for encoding in encoded]

    def rows(self, texts: Sequence[str], max_tokens: int) -> list[np.ndarray]:
        """Encode as ``<s> text </s>``, the text cut to fit."""
        room = max_tokens - 2
        return [_row([ids[:room]]) for ids in self.bare(texts)]

    def pair_rows(
        self, first: Sequence[str], second: Sequence[str], max_tokens: int
    ) -> list[np.ndarray]:
        """Encode ``<s> a </s></s> b </s>``, the longer one cut until both fit."""
        room, rows = max_tokens - 4, []
        for a, b in zip(self.bare(first), self.bare(second), strict=True):
            keep_b = min(len(b), max(room // 2, room - len(a)))
            rows.append(_row([a[: room - keep_b], b[:keep_b]]))
        return rows


def _row(parts: Sequence[Sequence[int]]) -> np.ndarray:
    ids = [BOS]
    for i, part in enumerate(parts):
        ids += [EOS, *part, EOS] if i else [*part, EOS]
    return np.array(ids, dtype=np.int64)


def trained_tokenizer(
    texts: Callable[[], Iterable[str]],
    *,
    digest: str,
    vocab_size: int,
    kind: TokenKind = "bpe",
) -> TextTokenizer:
    """Train the tokenizer of a corpus, or take it from the cache.

    Args:
        texts: Gives the training text, if it is needed.
        digest: Digest of that text.
        vocab_size: Most tokens, special ones and the 256 bytes included.
        kind: What a token is; of bytes nothing is trained or kept.
    """
    if kind == "bytes":
        return TextTokenizer(byte_tokens())
    entry = CacheEntry("text/tokenizers", f"{digest}-{vocab_size}-v{VERSION}")
    known = entry.read()
    if known is None:
        known = train_bpe(texts(), vocab_size)
        entry.write(known, {})
    return TextTokenizer(known)


def train_bpe(texts: Iterable[str], vocab_size: int) -> str:
    """Train a byte-level BPE, as JSON; the five special tokens have the lowest ids."""
    tokenizer = _byte_level(BPE(unk_token=SPECIAL_TOKENS[UNK]))
    tokenizer.train_from_iterator(
        texts,
        trainer=BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return _finished(tokenizer)


def byte_tokens() -> str:
    """Bytes as tokens, as JSON: byte b of the UTF-8 text has id 5 + b."""
    names = (*SPECIAL_TOKENS, *map(_character_of, range(NUM_BYTES)))
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = _byte_level(BPE(vocabulary, [], unk_token=SPECIAL_TOKENS[UNK]))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return _finished(tokenizer)


def _character_of(byte: int) -> str:
    """The character that stands for a byte in a byte-level BPE.

    GPT-2's table (``bytes_to_unicode``): what Latin-1 prints stands for itself, the
    others are counted from 256.
    """
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in printed:
        return chr(byte)
    return chr(NUM_BYTES + sum(other not in printed for other in range(byte)))


def _byte_level(model: BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return tokenizer


def _finished(tokenizer: Tokenizer) -> str:
    tokenizer.post_processor = RobertaProcessing(
        (SPECIAL_TOKENS[EOS], EOS), (SPECIAL_TOKENS[BOS], BOS), add_prefix_space=False
    )
    json: str = tokenizer.to_str()
    return json
