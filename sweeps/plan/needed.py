"""Which trainings the studies of a store need the encoders of."""

from __future__ import annotations

from sweeps.tracking.stores import Stores
from sweeps.tracking.tracker import Tracker


def needed_trainings(stores: Stores) -> set[str]:
    """Training keys of every cell of every study, and of every search's trials.

    Raises:
        ConfigError: A study of the store cannot be read, so what it needs is unknown.
    """
    if stores.is_new:
        return set()
    tracker = Tracker(stores, "d2v prune")
    cells = [cell for plan in tracker.manifests() for cell in plan.cells + plan.removed]
    return {*tracker.searched_trainings(), *(cell.training for cell in cells)}
