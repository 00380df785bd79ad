"""Masks of independent positions, one section for all modalities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from d2v_core.config.base import Section


class RandomMask(Section):
    """Independent patches, frames or tokens, the same share in every sample.

    MAE's and SimMIM's masks for images; no published recipe has them for speech or
    text.
    """

    kind: Literal["random"] = "random"
    ratio: float = Field(0.6, gt=0.0, lt=1.0)
    """Share of positions to mask, rounded to whole ones; of text, of the tokens that
    are not special."""
