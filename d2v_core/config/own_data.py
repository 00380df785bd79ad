"""Audio and text that the user's own functions give."""

from __future__ import annotations

from typing import Annotated, Literal

from d2v_core.config.base import Section, execution_field
from d2v_core.config.own import OwnFunction, OwnSettings, TakesOwn


class OwnAudio(Section):
    """Waveforms in memory that the user's own function gives."""

    source: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("audio source", "settings")]
    """Gives the splits: ``own.py:function``. What it gives is identity, by its digest,
    and must be the same at every call."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""
    root: str | None = execution_field(None)
    """The data root (``--data-root`` or ``D2V_DATA``), which the function is given."""


class OwnTexts(Section):
    """Texts in memory that the user's own function gives, each a row of its own."""

    source: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("text source", "settings")]
    """Gives the corpus, as of audio."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""
    root: str | None = execution_field(None)
    """The data root, which the function is given; tasks are looked for there."""
