"""Texts in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2v_core.api.samples import Given, content_digest
from d2v_core.config.text import TextTrial
from d2v_core.data.inventory import Inventory
from d2v_core.data.text.dataset import TextDataset
from d2v_core.data.text.token_rows import store_rows
from d2v_core.data.text.tokenizer import TextTokenizer, byte_tokens, train_bpe
from d2v_core.errors import refused
from d2v_core.sizing import SizedFor, TextFacts, settings_for


@dataclass(frozen=True)
class GivenTexts(Given):
    """Strings, each a row of its own.

    Attributes:
        texts: Not empty.
        labels: int64 class indices of shape (texts,).
        classes: Names of the classes; empty: there are no labels.
        sized_for: The machine a recipe is to suit.
    """

    texts: Sequence[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    sized_for: SizedFor

    @property
    def settings(self) -> Mapping[str, Any]:
        """A recipe for texts of this length."""
        lengths = [len(text) for text in self.texts]
        facts = TextFacts(len(lengths), int(np.median(lengths)), sum(lengths))
        return settings_for(facts, self.sized_for)

    @property
    def digest(self) -> str:
        """Digest of all texts and labels."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in self.texts]
        return content_digest([*encoded, self.labels.tobytes()])

    def dataset(self, trial: TextTrial) -> TextDataset:
        """Rows of tokens, by a tokenizer trained on the texts, or of bytes."""
        trained = trial.text.tokenizer == "bpe"
        size = trial.text.vocab_size
        tokenizer = TextTokenizer(
            train_bpe(self.texts, size) if trained else byte_tokens()
        )
        return TextDataset(
            name="texts in memory",
            tokenizer=tokenizer,
            rows=store_rows(tokenizer.rows(self.texts, trial.text.max_tokens)),
            labels=self.labels if self.classes else np.zeros(0, np.int64),
            classes=self.classes,
            inventory=Inventory("texts", {"corpus": len(self.texts)}),
        )


def as_texts(samples: Any, where: str = "samples") -> list[str]:
    """The strings.

    Raises:
        ConfigError: One is no string, or blank.
    """
    for i, text in enumerate(samples):
        if not isinstance(text, str) or not text.strip():
            given = repr(text)[:40] if isinstance(text, str) else type(text).__name__
            message = f"must be a string that is not blank, got {given}"
            raise refused(f"{where}[{i}]", message)
    return list(samples)
