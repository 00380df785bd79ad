"""Masks of the user's own: what their function gives, checked at every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool

from d2v_core.config.own_masks import OwnMask
from d2v_core.config.trial import TrialConfig
from d2v_core.masks.patches import PatchMasks
from d2v_core.masks.tokens import TokenMask
from d2v_core.own.kinds import FRAME_MASK, PATCH_MASK, TOKEN_MASK
from d2v_core.own.loading import own, tried

PATH = "mask.function"


def own_patch_masks(
    trial: TrialConfig, mask: OwnMask, grid: tuple[int, int]
) -> PatchMasks:
    """Masks of (batch, rows, columns).

    Raises:
        ConfigError: The function cannot be used.
    """
    function = own(trial, PATH, PATCH_MASK, mask.function, mask.settings)

    def draw(batch_size: int, generator: np.random.Generator) -> np.ndarray:
        drawn = function(batch_size, grid, generator)
        return checked(drawn, np.ones((batch_size, *grid), dtype=bool))

    _tried(PATCH_MASK, mask, partial(draw, 4))
    return draw


def own_frame_masks(
    trial: TrialConfig, mask: OwnMask
) -> Callable[[Sequence[int], np.random.Generator], np.ndarray]:
    """Masks of (rows, longest length).

    Raises:
        ConfigError: The function cannot be used.
    """
    function = own(trial, PATH, FRAME_MASK, mask.function, mask.settings)

    def draw(lengths: Sequence[int], generator: np.random.Generator) -> np.ndarray:
        there = np.arange(max(lengths)) < np.asarray(lengths)[:, None]
        return checked(function(list(lengths), generator), there)

    _tried(FRAME_MASK, mask, partial(draw, [40, 25]))
    return draw


def own_token_masks(
    trial: TrialConfig, mask: OwnMask
) -> Callable[[np.ndarray, np.random.Generator], TokenMask]:
    """Masks of (rows, tokens); the student reads the mask token at all of them.

    Raises:
        ConfigError: The function cannot be used.
    """
    function = own(trial, PATH, TOKEN_MASK, mask.function, mask.settings)

    def draw(fixed: np.ndarray, generator: np.random.Generator) -> TokenMask:
        drawn = checked(function(fixed.copy(), generator), ~fixed)
        return TokenMask(drawn, drawn)

    fixed = np.zeros((2, 12), dtype=bool)
    fixed[:, [0, -1]] = fixed[1, 8:] = True  # <s>, </s> and padding
    _tried(TOKEN_MASK, mask, partial(draw, fixed))
    return draw


def _tried(
    kind: str, mask: OwnMask, draw: Callable[[np.random.Generator], object]
) -> None:
    tried(PATH, kind, mask.function, lambda: draw(np.random.default_rng(0)))


def checked(
    mask: object, there: Bool[np.ndarray, batch * positions]
) -> Bool[np.ndarray, batch * positions]:
    """A mask that can be used.

    Args:
        mask: What the function gave.
        there: True at positions that may be hidden.

    Raises:
        ValueError: It is of another shape or type, hides what may not be hidden, or
            nothing or everything of a sample that has two positions or more.
    """
    array = np.asarray(mask)
    if array.dtype != bool or array.shape != there.shape:
        given = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"the mask must be bool of shape {there.shape}, got {given}")
    if (array & ~there).any():
        raise ValueError("the mask must not hide padding or fixed positions")
    places = tuple(range(1, array.ndim))
    hidden, known = array.sum(axis=places), there.sum(axis=places)
    if (hidden == 0).any() or ((hidden == known) & (known > 1)).any():
        given = f"{hidden.min()} to {hidden.max()} of {known.min()} to {known.max()}"
        message = "every mask must hide something and leave something to be seen"
        raise ValueError(f"{message}, got {given} positions")
    return array
