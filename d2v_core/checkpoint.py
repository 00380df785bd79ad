"""Everything a run needs to continue as if it had never stopped.

Model, teacher, optimiser, update count, elapsed seconds and a collapse already seen.
There is no generator and no data position to save: both are functions of seed and
update (:mod:`d2v_core.randomness`). Read back with ``weights_only=True``.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from d2v_core.health import Collapse
from d2v_core.learners import Learner

VERSION = 1


@dataclass
class TrainingState:
    """The state of one run, changed in place by the training loop.

    Attributes:
        learner: Networks and teacher.
        optimizer: Its moments.
        step: Updates done.
        seconds: Training time so far.
        collapse: The first collapse seen.
    """

    learner: Learner
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    collapse: Collapse | None = None


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write to a temporary file beside ``path`` and move it there."""
    content = {
        "version": VERSION,
        "step": state.step,
        "seconds": state.seconds,
        "collapse": asdict(state.collapse) if state.collapse else None,
        "module": state.learner.module.state_dict(),
        "extra": state.learner.extra_state(),
        "optimizer": state.optimizer.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def load_checkpoint(path: Path, state: TrainingState) -> None:
    """Restore ``state`` in place.

    Raises:
        ValueError: The checkpoint has another version.
    """
    device = next(state.learner.module.parameters()).device
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if content["version"] != VERSION:
        raise ValueError(
            f"{path}: checkpoint version must be {VERSION}, got {content['version']}; "
            "delete the file to start this trial again"
        )
    state.learner.module.load_state_dict(content["module"])
    state.learner.load_extra_state(content["extra"])
    state.optimizer.load_state_dict(content["optimizer"])
    state.step, state.seconds = content["step"], content["seconds"]
    collapse = content["collapse"]
    state.collapse = Collapse(**collapse) if collapse else None
