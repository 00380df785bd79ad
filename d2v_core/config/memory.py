"""Samples that a program holds in memory, of any modality."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from d2v_core.config.base import Section


class MemoryData(Section):
    """Samples given to :func:`d2v_core.pretrain`; only that program can read them."""

    source: Literal["memory"] = "memory"
    digest: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Of the samples' content: what was trained on others has another key."""
