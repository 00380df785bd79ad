"""What a modality's mask sampler gives to an objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from d2v_core.encoders.inputs import Inputs


@dataclass(frozen=True)
class Masked:
    """What is hidden of a batch, on the CPU.

    Attributes:
        mask: True where the mask token is read.
        read: What is read instead of the batch, where some positions show something
            else than what they hold (BERT's random tokens); None: the batch.
        selected: ``mask`` and the positions that are to be predicted although they show
            a random or their own token; None: those of ``mask``.
    """

    mask: Bool[Tensor, "batch tokens"]
    read: Inputs | None = None
    selected: Bool[Tensor, "batch tokens"] | None = None


MaskSampler = Callable[[Inputs, np.random.Generator], Masked]
"""From this worker's rows of a batch, and a generator that is the same for all workers.

An objective that wants several masks of a batch asks several times, with a generator
for each.
"""
