"""Masks of one's own, one section for what each modality hides."""

from __future__ import annotations

from typing import Annotated, Literal

from d2v_core.config.base import Section
from d2v_core.config.own import OwnFunction, OwnSettings, TakesOwn


class OwnPatchMask(Section):
    """Patches that the user's own function hides."""

    kind: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("patch mask", "settings")]
    """Draws the masks of a batch: ``own.py:function``."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""


class OwnFrameMask(Section):
    """Frames that the user's own function hides."""

    kind: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("frame mask", "settings")]
    """Draws the masks of a batch: ``own.py:function``."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""


class OwnTokenMask(Section):
    """Tokens that the user's own function hides."""

    kind: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("token mask", "settings")]
    """Draws the masks of a batch: ``own.py:function``."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""


OwnMask = OwnPatchMask | OwnFrameMask | OwnTokenMask
