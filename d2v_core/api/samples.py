"""Samples as a caller has them, and the labels beside them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from d2v_core.errors import refused

Samples: TypeAlias = Any
"""An array or tensor of images, a list of images, waveforms or strings, or a torch data
set of any of these, with or without labels."""

Labels: TypeAlias = Sequence[Any] | np.ndarray | Tensor
"""Numbers or texts, one for each sample."""


class Given(ABC):
    """Samples of one modality, looked at but not yet brought to an encoder's size."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """A recipe that fits them, without its data."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Digest of their content, 16 hex digits."""

    @abstractmethod
    def dataset(self, trial: Any) -> Any:
        """The data set a trial of their modality reads; all splits are the same."""


@dataclass(frozen=True)
class Unpacked:
    """Samples one by one, and their labels.

    Attributes:
        samples: In order.
        labels: Label of each; None: there are none.
    """

    samples: Samples
    labels: Labels | None = None


def unpacked(samples: Samples, where: str = "samples") -> Unpacked:
    """Take a torch data set apart; what is none is left as it is.

    Args:
        samples: As the caller has them.
        where: Name of the argument, for messages.

    Raises:
        ConfigError: There are no samples, or no way to count them.
    """
    if not hasattr(samples, "__len__") or isinstance(samples, str | bytes | Mapping):
        kinds = "an array, a list or a torch data set with a length"
        given = type(samples).__name__
        raise refused(where, f"must be {kinds}, got {given}")
    size = len(samples)
    if size == 0:
        raise refused(where, "must not be empty")
    if not isinstance(samples, TorchDataset):
        return Unpacked(samples)
    items = [samples[i] for i in range(size)]
    sizes = {len(item) if isinstance(item, tuple | list) else 0 for item in items}
    if sizes == {2}:
        return Unpacked([x for x, _ in items], [y for _, y in items])
    return Unpacked([x for (x,) in items] if sizes == {1} else items)


def modality_in(samples: Samples) -> str:
    """The modality that the first sample belongs to."""
    first = samples[0]
    if isinstance(first, str):
        return "text"
    return "speech" if np.ndim(np.asarray(first)) == 1 else "vision"


def class_indices(
    labels: Labels, num_samples: int, where: str = "labels"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as int64 class indices, and the names of the classes, sorted.

    Args:
        labels: Numbers or texts.
        num_samples: As many as there must be.
        where: Name of the argument, for messages.

    Raises:
        ConfigError: There are more or fewer labels than samples.
    """
    if len(labels) != num_samples:
        message = f"must be as many as the samples, {num_samples:,}"
        raise refused(where, f"{message}, got {len(labels):,}")
    plain = [one.item() if hasattr(one, "item") else one for one in labels]
    try:
        names = sorted(set(plain))
    except TypeError:
        message = "must be numbers or texts, all of one kind"
        raise refused(where, message) from None
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[one] for one in plain], np.int64), tuple(map(str, names))


def content_digest(parts: Iterable[bytes]) -> str:
    """Digest of everything, 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]
