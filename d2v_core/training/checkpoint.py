"""Checkpoints: all a run needs to continue as if it had never stopped.

Model, teacher, optimiser, update count, elapsed seconds and a collapse already seen.
There is no generator and no data position to save: both are functions of seed and
update (:mod:`d2v_core.randomness`). Read back with ``weights_only=True``.
"""

from __future__ import annotations

import pickle
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from d2v_core.errors import ConfigError, Problem
from d2v_core.files import replacing, set_aside_torn_archive
from d2v_core.objectives.protocol import Objective
from d2v_core.training.health import Collapse

VERSION = 1
ZIP_MAGIC = b"PK\x03\x04"
"""What every file of ``torch.save`` begins with."""
RESTART = "and the trial is trained from its start"


@dataclass
class TrainingState:
    """The state of one run, changed in place by the training loop.

    Attributes:
        objective: Networks and teacher.
        optimizer: Its moments.
        step: Updates done.
        seconds: Training time so far.
        data_seconds: Part of it spent waiting for data.
        collapse: The first collapse seen.
        preprocessing: What must be done to the input to use the encoder elsewhere.
    """

    objective: Objective
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0
    collapse: Collapse | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return next(self.objective.module.parameters()).device


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write to a temporary file beside ``path`` and move it there."""
    write_checkpoint(path, _content(state))


def snapshot(state: TrainingState) -> dict[str, Any]:
    """Copy the state to host memory for :func:`write_checkpoint`; training goes on."""
    content: dict[str, Any] = _copied(_content(state))
    return content


def _copied(value: Any) -> Any:
    """Copies of all tensors, on the host, in containers of the same kind."""
    if torch.is_tensor(value):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(each) for each in value)
    return value


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write what :func:`snapshot` has taken, whole or not at all."""
    with replacing(path) as file:
        torch.save(dict(content), file)


def _content(state: TrainingState) -> dict[str, Any]:
    return {
        "version": VERSION,
        "step": state.step,
        "seconds": state.seconds,
        "data_seconds": state.data_seconds,
        "collapse": asdict(state.collapse) if state.collapse else None,
        "module": state.objective.module.state_dict(),
        "extra": state.objective.extra_state(),
        "optimizer": state.optimizer.state_dict(),
        "preprocessing": dict(state.preprocessing),
    }


def resume(path: Path, state: TrainingState) -> None:
    """Restore ``state`` from a checkpoint, if there is one that is whole.

    One that is torn is set aside and said in a line; training starts from its start.

    Raises:
        ConfigError: As :func:`load_checkpoint`.
    """
    try:
        with path.open("rb") as file:
            ours = file.read(len(ZIP_MAGIC)) in (ZIP_MAGIC, b"")
        # Another file may have been named by mistake: it is refused, and left alone.
        if ours and set_aside_torn_archive(path, RESTART):
            return
        load_checkpoint(path, state)
    except FileNotFoundError:  # or another worker has just set it aside
        return


def load_checkpoint(path: Path, state: TrainingState) -> None:
    """Restore ``state`` in place.

    Raises:
        ConfigError: As :func:`read_checkpoint` and :func:`restore_networks`.
    """
    content = read_checkpoint(path, state.device)
    restore_networks(path, content, state.objective)
    state.optimizer.load_state_dict(content["optimizer"])
    state.step, state.seconds = content["step"], content["seconds"]
    state.data_seconds = content.get("data_seconds", 0.0)  # older files lack it
    collapse = content["collapse"]
    state.collapse = Collapse(**collapse) if collapse else None


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read the content as written, its tensors on ``device``; nothing in it can run.

    Raises:
        ConfigError: The file is no checkpoint, or one of another version.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError):
        content = None
    if not isinstance(content, dict) or "version" not in content:
        raise _problem(path, "must be a checkpoint that d2v train has written")
    if content["version"] != VERSION:
        raise _problem(
            path,
            f"checkpoint version must be {VERSION}, got {content['version']}; "
            "delete the file to start this trial again",
        )
    return content


def restore_networks(
    path: Path, content: Mapping[str, Any], objective: Objective
) -> None:
    """Give the objective's networks the weights of a checkpoint.

    Raises:
        ConfigError: The checkpoint is of other networks.
    """
    try:
        objective.module.load_state_dict(content["module"])
        objective.load_extra_state(content["extra"])
    except RuntimeError as error:
        difference = textwrap.shorten(str(error).splitlines()[-1], 160)
        message = "must have been written with the same recipe and --set options; "
        raise _problem(path, message + difference) from None


def _problem(path: Path, message: str) -> ConfigError:
    return ConfigError([Problem("checkpoint", f"{path}: {message}")])
