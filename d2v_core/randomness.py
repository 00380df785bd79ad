"""One seed fans out into named, counted streams; no generator outlives its use.

The generator of a stream at a step is derived from ``(seed, name, counter)`` alone. So
two trials with the same seed draw the same weights, data order and masks whatever else
they draw, and a resumed run needs no generator state beside the step it is at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(seed: int, stream: str, counter: int = 0) -> int:
    """A 63-bit seed for the ``counter``-th use of a named stream."""
    text = f"{seed}/{stream}/{counter}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def torch_generator(seed: int, stream: str, counter: int = 0) -> torch.Generator:
    """A CPU generator for one use of a stream."""
    return torch.Generator().manual_seed(derived_seed(seed, stream, counter))


def numpy_generator(seed: int, stream: str, counter: int = 0) -> np.random.Generator:
    """A NumPy generator for one use of a stream."""
    return np.random.default_rng(derived_seed(seed, stream, counter))


@contextmanager
def global_torch_seed(seed: int, stream: str, counter: int = 0) -> Iterator[None]:
    """Seed torch's global generators inside the block and restore them after it.

    For code of others that draws from them: timm's initialisation, dropout.
    """
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        generators += torch.cuda.default_generators
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(derived_seed(seed, stream, counter))
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
