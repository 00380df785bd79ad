"""A training batch, and what makes the batch of an update."""

from __future__ import annotations

from collections.abc import Callable

from d2v_core.encoders.inputs import Inputs

Batch = tuple[Inputs, Inputs]
"""Inputs and labels."""
Batches = Callable[[int], Batch]
"""Inputs and labels of an update (from 1), on the CPU."""
