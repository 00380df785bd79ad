"""Data stays loaded in a worker from one trial to the next that reads the same."""

from __future__ import annotations

from d2v_core.config import TrialConfig
from d2v_core.modalities import modality_of
from d2v_core.modalities.modality import Dataset

_loaded: dict[tuple[str, str], Dataset] = {}
"""The last data, under its digest and what else decides how it is read."""


def load_once(trial: TrialConfig, digest: str) -> Dataset:
    """A trial's data, read from disk only if the last trial here read other data.

    Args:
        trial: The configuration.
        digest: Digest of the data as it was when the run was planned.

    Raises:
        DataError: The data is missing or broken.
    """
    modality = modality_of(trial)
    wanted = digest, modality.same_data(trial)
    if wanted not in _loaded:
        _loaded.clear()  # first: two sets need not fit into memory
        _loaded[wanted] = modality.load_data(trial)
    return _loaded[wanted]
