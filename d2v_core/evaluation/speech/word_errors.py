"""Word and character error rates, pooled over a corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torchaudio.functional import edit_distance


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Edits of all utterances over words of all references, in per cent.

    Insertions count, so it can exceed 100.

    Args:
        references: What was said, words between single spaces.
        hypotheses: What was recognised.
    """
    return _error_rate(references, hypotheses, str.split)


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The same over characters, the space between two words being one."""
    return _error_rate(references, hypotheses, list)


def _error_rate(
    references: Sequence[str],
    hypotheses: Sequence[str],
    units: Callable[[str], list[str]],
) -> float:
    said = [units(text) for text in references]
    heard = [units(text) for text in hypotheses]
    edits: int = sum(edit_distance(a, b) for a, b in zip(said, heard, strict=True))
    return 100.0 * edits / max(1, sum(map(len, said)))
