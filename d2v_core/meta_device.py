"""Networks without memory: can they be built, and how many weights have they."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


@contextmanager
def without_memory() -> Iterator[None]:
    """Everything that is built within is on the device ``meta``, unfilled."""
    with torch.device("meta"), _Unfilled():
        yield


@contextmanager
def its_own_copy(network: nn.Module) -> Iterator[None]:
    """Let ``copy.deepcopy`` give the network itself; without memory they are alike."""
    setattr(network, "__deepcopy__", lambda _memo: network)  # noqa: B010
    try:
        yield
    finally:
        delattr(network, "__deepcopy__")


FILLS = frozenset(
    f"{name}_"
    for name in ("normal", "uniform", "trunc_normal", "erfinv", "clamp", "mul", "add")
)
"""What initial weights are drawn with, in place."""


class _Unfilled(TorchFunctionMode):
    """Weights without memory have no values to draw.

    PyTorch works out the shapes of each of these in Python: most of the time of a plan.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in FILLS:
            filled = args[0] if args else given.get("tensor")
            if isinstance(filled, torch.Tensor) and filled.is_meta:
                return filled
        return func(*args, **given)
