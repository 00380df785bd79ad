"""Masks of token rows: BERT's and spans, drawn anew for every update.

Paper section 4.3 and Table 4; fairseq ``mask_tokens_dataset.py``. In both the student
reads ``<mask>`` at the mask's positions and the loss is there only: with BERT masking
the selected positions that read a random or their own token get none
(``data2vec_text.py`` 467, fairseq #4229). Departures: special tokens and padding are
never selected (the reference's masks can hit ``<s>`` and ``</s>``), and every row has
at least one ``<mask>``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int

from d2v_core.encoders.inputs import Inputs
from d2v_core.encoders.token_inputs import PAD, SPECIAL_TOKENS, TokenRows
from d2v_core.masks.masked import Masked, MaskSampler
from d2v_core.masks.spans import span_masks
from d2v_core.training.parallel import ALONE, Workers


@dataclass(frozen=True)
class TokenMask:
    """What happens to the tokens of a batch.

    Attributes:
        mask: True where the student reads ``<mask>``; the loss is there.
        selected: ``mask`` and the positions that read another or their own token: what
            the reference's target stream holds.
        random: Ids the student reads instead of its own; -1: its own.
    """

    mask: Bool[np.ndarray, "batch tokens"]
    selected: Bool[np.ndarray, "batch tokens"]
    random: Int[np.ndarray, "batch tokens"] | None = None

    def part(self, rows: slice) -> TokenMask:
        """Masks of some rows."""
        random = None if self.random is None else self.random[rows]
        return TokenMask(self.mask[rows], self.selected[rows], random)


TokenMasks = Callable[[np.ndarray, np.random.Generator], TokenMask]
"""From which positions of a batch are fixed, at least one of each row being free."""


@dataclass(frozen=True)
class BertMasks:
    """BERT's masks: independent positions, some of which read another token.

    Attributes:
        probability: Share of positions selected, rounded at random per row.
        mask_share: Share of the selected that reads ``<mask>``.
        random_share: The share that reads a random token; the rest reads its own.
        vocab_size: Random tokens are drawn from the ids that are not special.
    """

    probability: float
    mask_share: float
    random_share: float
    vocab_size: int

    def __call__(
        self, fixed: Bool[np.ndarray, "batch tokens"], generator: np.random.Generator
    ) -> TokenMask:
        """The mask of a batch."""
        selected, mask = np.zeros_like(fixed), np.zeros_like(fixed)
        shown = np.full(fixed.shape, -1, dtype=np.int64)
        for row, places in enumerate(map(np.flatnonzero, ~fixed)):
            wanted = int(self.probability * len(places) + generator.random())
            chosen = generator.choice(places, max(wanted, 1), replace=False)
            selected[row, chosen] = True
            fate = generator.random(len(chosen))
            masked = fate < self.mask_share
            masked[0] |= not masked.any()
            mask[row, chosen[masked]] = True
            swapped = ~masked & (fate < self.mask_share + self.random_share)
            shown[row, chosen[swapped]] = generator.integers(
                len(SPECIAL_TOKENS), self.vocab_size, int(swapped.sum())
            )
        random = shown if self.mask_share < 1.0 else None  # all read <mask>
        return TokenMask(mask, selected, random)


@dataclass(frozen=True)
class SpanMasks:
    """wav2vec 2.0's masks for text: spans of tokens, none random or unchanged.

    Attributes:
        probability: Expected masked share if spans did not overlap.
        span: Tokens per span; special tokens inside it are passed over.
    """

    probability: float
    span: int

    def __call__(
        self, fixed: Bool[np.ndarray, "batch tokens"], generator: np.random.Generator
    ) -> TokenMask:
        """The mask of a batch."""
        counts = (~fixed).sum(axis=1)
        drawn = span_masks(
            [max(2, int(count)) for count in counts],
            generator,
            probability=self.probability,
            span=self.span,
            whole_spans=False,
            same_count=False,
        )
        mask = np.zeros_like(fixed)
        for row, (free, spans) in enumerate(zip(~fixed, drawn, strict=True)):
            places = np.flatnonzero(free)
            mask[row, places] = spans[: len(places)] if len(places) > 1 else True
        return TokenMask(mask, mask)


def free_tokens_mask(
    fixed: Bool[np.ndarray, "batch tokens"],
    draw: Callable[[list[int]], Bool[np.ndarray, "batch longest"]],
) -> TokenMask:
    """The mask of a batch whose rows are masked as if they had no special tokens.

    Args:
        fixed: True at special tokens and padding.
        draw: From the number of free tokens of each row, at least 2, to their masks.
            A row of a single free token hides it, whatever is drawn.
    """
    free = ~fixed
    counts = free.sum(axis=1)
    drawn = draw(np.maximum(2, counts).tolist()) | (counts == 1)[:, None]
    place = np.clip(free.cumsum(axis=1) - 1, 0, drawn.shape[1] - 1)
    mask = free & np.take_along_axis(drawn, place, axis=1)
    return TokenMask(mask, mask)


def token_mask_sampler(masks: TokenMasks, workers: Workers = ALONE) -> MaskSampler:
    """Masks of this worker's rows, and what is read at the other selected positions.

    Args:
        masks: The kind of mask.
        workers: Those that have the other rows of a batch.
    """

    def sample(rows: Inputs, generator: np.random.Generator) -> Masked:
        assert isinstance(rows, TokenRows)
        drawn = masks(rows.fixed, generator).part(workers.rows(len(rows.fixed)))
        read = None
        if drawn.random is not None:
            ids = torch.from_numpy(drawn.random)
            read = replace(rows, values=torch.where(ids < 0, rows.values, ids))
        return Masked(
            mask=torch.from_numpy(drawn.mask),
            read=read,
            selected=torch.from_numpy(drawn.selected),
        )

    return sample


def only_selected(rows: Inputs, masked: Masked) -> TokenRows:
    """Rows with padding everywhere but at selected positions, counted anew.

    What the released code gives to the teacher (``mask_tokens_dataset.py`` 178-185;
    fairseq #4881), against the paper.
    """
    assert isinstance(rows, TokenRows)
    assert masked.selected is not None
    return replace(
        rows,
        values=torch.where(masked.selected, rows.values, PAD),
        lengths=tuple(masked.selected.sum(dim=1).tolist()),
    )
