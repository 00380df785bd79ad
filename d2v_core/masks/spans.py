"""Spans of positions: speech frames and text tokens.

fairseq ``data_utils.py`` 399-588 (``compute_mask_indices``, speech) and
``mask_tokens_dataset.py`` 138-168 (text): ``int(p * T / length + U[0, 1))`` starts
without replacement, each masks ``length`` positions, spans may overlap. Departures: a
row that would come out without a mask gets one, at least one position stays visible,
and the generator is the trial's (the reference's ignores the seed).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool


def span_masks(
    lengths: Sequence[int],
    generator: np.random.Generator,
    *,
    probability: float,
    span: int,
    whole_spans: bool,
    same_count: bool,
) -> Bool[np.ndarray, "batch tokens"]:
    """True at masked positions, of shape (rows, longest length).

    Args:
        lengths: Positions of each row that may be masked, at least 2.
        generator: Draws starts and what is trimmed.
        probability: Expected masked share if spans did not overlap.
        span: Positions per span.
        whole_spans: Speech: spans start where they fit (and so never cover the last
            position). Text: they start anywhere and are cut at the end.
        same_count: Unmask at random down to the row with the fewest masked positions.
    """
    mask = np.zeros((len(lengths), max(lengths)), dtype=bool)
    for row, length in zip(mask, lengths, strict=True):
        width = min(span, length - 1)
        room = length - width if whole_spans else length
        wanted = int(probability * length / width + generator.random())
        starts = generator.choice(room, min(max(wanted, 1), room), replace=False)
        covered = (starts[:, None] + np.arange(width)).ravel()
        row[covered[covered < length]] = True
        if row[:length].all():
            row[generator.integers(length)] = False
    if same_count:
        fewest = int(mask.sum(axis=1).min())
        for row in mask:
            masked = np.flatnonzero(row)
            row[generator.choice(masked, len(masked) - fewest, replace=False)] = False
    return mask
