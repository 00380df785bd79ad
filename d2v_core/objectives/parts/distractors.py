"""What wav2vec 2.0 draws for an update: masks, wrong answers, noise of the quantiser.

fairseq ``models/wav2vec/wav2vec2.py`` ``sample_negatives``: with replacement among the
masked frames of the same utterance, never the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from d2v_core.objectives.protocol import Draw


@dataclass(frozen=True)
class ContrastiveDraw(Draw):
    """The draws of one update.

    Attributes:
        mask: Hidden frames.
        positions: Where ``mask.flatten()`` is true.
        first_rows: For each masked frame, the first one of its utterance.
        distractors: Wrong answers, counted from there.
        noise: Gumbel's, of each masked frame and code.
    """

    mask: Bool[Tensor, "batch tokens"]
    positions: Int[Tensor, " masked"]
    first_rows: Int[Tensor, " masked"]
    distractors: Int[Tensor, "masked distractors"]
    noise: Float[Tensor, "masked groups codes"]

    @property
    def distractor_rows(self) -> Int[Tensor, "masked distractors"]:
        """The wrong answers as rows among all masked frames."""
        return self.first_rows.unsqueeze(1) + self.distractors


def contrastive_draw(
    mask: Bool[Tensor, "batch tokens"],
    generators: Sequence[np.random.Generator],
    *,
    num_distractors: int,
    num_groups: int,
    num_codes: int,
) -> ContrastiveDraw:
    """Draw for each utterance.

    Args:
        mask: Hidden frames, at least one in each row.
        generators: One for each row.
        num_distractors: For each masked frame.
        num_groups: Code books.
        num_codes: Entries of each.
    """
    counts = mask.sum(dim=1)
    distractors, noise = [], []
    for count, generator in zip(counts.tolist(), generators, strict=True):
        distractors.append(others(count, num_distractors, generator))
        size = (count, num_groups, num_codes)
        drawn = generator.standard_exponential(size, dtype=np.float32)
        # Minus the logarithm of an exponential is Gumbel's; 0 is drawn now and then.
        noise.append(-np.log(np.maximum(drawn, np.finfo(np.float32).tiny)))
    first = counts.cumsum(0) - counts
    return ContrastiveDraw(
        mask=mask,
        positions=mask.flatten().nonzero().squeeze(1),
        first_rows=first.repeat_interleave(counts),
        distractors=torch.from_numpy(np.concatenate(distractors)),
        noise=torch.from_numpy(np.concatenate(noise)),
    )


def others(
    count: int, num_distractors: int, generator: np.random.Generator
) -> Int[np.ndarray, "count distractors"]:
    """For each of ``count`` frames some of the others; a single one has only itself."""
    drawn = generator.integers(max(1, count - 1), size=(count, num_distractors))
    if count > 1:
        drawn += drawn >= np.arange(count)[:, None]
    return drawn
