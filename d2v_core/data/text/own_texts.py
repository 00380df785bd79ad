"""Texts that the user's own function gives, in memory."""

from __future__ import annotations

import hashlib
from typing import Any

from d2v_core.config.choices import TokenKind
from d2v_core.config.own_data import OwnTexts
from d2v_core.config.trial import TrialConfig
from d2v_core.data.text.line_files import LineCorpus
from d2v_core.data.text.token_rows import store_rows
from d2v_core.data.text.tokenizer import trained_tokenizer
from d2v_core.own.kinds import TEXTS
from d2v_core.own.loading import given_once, own, tried


def own_texts(trial: TrialConfig, data: OwnTexts) -> tuple[str, ...]:
    """What the function gives.

    Raises:
        ConfigError: It cannot be called, or gives something else.
    """

    def load() -> tuple[str, ...]:
        path, given = "data.function", data.function
        function = own(trial, path, TEXTS, given, data.settings)
        return tried(path, TEXTS, given, lambda: _texts(function(data.root)))

    return given_once(TEXTS, data.model_dump_json(), load)


def own_texts_digest(texts: tuple[str, ...]) -> str:
    """Digest of the texts, 16 hex digits."""
    return hashlib.sha256(repr(texts).encode()).hexdigest()[:16]


def load_own_texts(
    trial: TrialConfig,
    data: OwnTexts,
    *,
    vocab_size: int,
    max_tokens: int,
    kind: TokenKind = "bpe",
) -> LineCorpus:
    """The texts, tokenised; each is a row.

    Raises:
        ConfigError: As :func:`own_texts`.
    """
    texts = own_texts(trial, data)
    tokenizer = trained_tokenizer(
        lambda: texts,
        digest=f"own-{own_texts_digest(texts)}",
        vocab_size=vocab_size,
        kind=kind,
    )
    return LineCorpus(
        name=data.function.partition("@")[0],
        tokenizer=tokenizer,
        rows=store_rows(tokenizer.rows(texts, max_tokens)),
        notes=(),
        num_lines=len(texts),
        num_left_out=0,
    )


def _texts(given: Any) -> tuple[str, ...]:
    """The texts, checked.

    Raises:
        ValueError: They are none.
    """
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise ValueError(f"must give a list of texts, got {type(given).__name__}")
    texts = tuple(given)
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text {i} must be a text that is not blank")
    if not texts:
        raise ValueError("must give texts, gave none")
    return texts
