"""Samples that a program holds in memory, of any modality."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from d2v_core.config.base import Section
from d2v_core.errors import DataError


class MemoryData(Section):
    """Samples given to :func:`d2v_core.pretrain`; nobody else can read them."""

    source: Literal["memory"] = "memory"
    digest: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Digest of the samples' content: what was trained on others has another key."""

    def gone(self) -> DataError:
        """The refusal to load them."""
        return DataError(
            f"data.source: memory: the samples {self.digest} were given to a program "
            "and lie in no file; give them to d2v_core.pretrain again, or write them "
            "to a folder"
        )
