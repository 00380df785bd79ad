"""What a training leaves: its encoders, and all that is needed to use them later.

Kept as a folder of files, :mod:`d2v_core.kept_files`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from d2v_core.build import build_encoder
from d2v_core.config.choices import Network
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.kept_files import (
    DESCRIPTION,
    BrokenEncoderError,
    read_kept,
    write_kept,
)
from d2v_core.objectives.protocol import Objective
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.health import Collapse

NETWORKS: tuple[Network, ...] = ("student", "teacher")
BYTES_PER_WEIGHT = 4
"""Weights are kept as they are trained, in float32."""


@dataclass(frozen=True)
class TrainedEncoder:
    """The outcome of a training.

    Attributes:
        trial: The configuration it was trained with, as plain data.
        networks: Weights by network; an objective without a teacher has a student only.
        step: Updates done.
        seconds: Training time.
        data_seconds: Part of it spent waiting for data.
        collapse: The first collapse seen.
        preprocessing: What must be done to the input to use the encoder elsewhere.
        data: What was found of the data it was trained on, in a line.
        inventory: The same in numbers.
        history: Progress of the training: update, unix milliseconds, metrics.
    """

    trial: Mapping[str, Any]
    networks: Mapping[Network, Mapping[str, Tensor]]
    step: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0
    collapse: Collapse | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    inventory: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[tuple[int, int, Mapping[str, float]]] = ()

    @classmethod
    def taken_from(
        cls, state: TrainingState, trial: TrialConfig, **about: Any
    ) -> TrainedEncoder:
        """Copy everything to host memory.

        Args:
            state: State of a training that has ended.
            trial: Its configuration.
            about: ``data``, ``inventory`` and ``history``.
        """
        return cls(
            trial=trial.model_dump(mode="json"),
            networks=_weights(state.objective),
            step=state.step,
            seconds=state.seconds,
            data_seconds=state.data_seconds,
            collapse=state.collapse,
            preprocessing=dict(state.preprocessing),
            **about,
        )

    def encoder(self, trial: TrialConfig, network: Network = "student") -> Encoder:
        """One of the networks, in evaluation mode, on the CPU.

        Args:
            trial: The configuration, which says how the encoder is built.
            network: Which; where there is no teacher, the only one there is.

        Raises:
            BrokenEncoderError: The weights are of another encoder.
        """
        encoder = build_encoder(trial)
        weights = self.networks.get(network, self.networks["student"])
        try:
            encoder.load_state_dict(dict(weights))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise BrokenEncoderError(f"weights of another encoder: {reason}") from None
        return encoder.eval()


def write_trained(folder: Path, trained: TrainedEncoder) -> None:
    """Write the folder, whole or not at all; one that is there is replaced."""
    about = {k: v for k, v in vars(trained).items() if k != "networks"}
    collapse = asdict(trained.collapse) if trained.collapse else None
    write_kept(folder, {**about, "collapse": collapse}, trained.networks)


def read_trained(folder: Path) -> TrainedEncoder:
    """Read a folder, checking every digest.

    Raises:
        FileNotFoundError: There is none.
        BrokenEncoderError: It is not what was written, or of another version.
    """
    about, networks = read_kept(folder)
    try:
        collapse = about.pop("collapse")
        about["preprocessing"] = {
            k: tuple(v) if isinstance(v, list) else v
            for k, v in about["preprocessing"].items()
        }
        about["history"] = [tuple(entry) for entry in about["history"]]
        return TrainedEncoder(
            networks=networks,
            collapse=Collapse(**collapse) if collapse else None,
            **about,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenEncoderError(f"{DESCRIPTION} is garbled ({error})") from None


def num_networks(trial: TrialConfig) -> int:
    """Networks that a training leaves."""
    return 1 + ("teacher" in trial.objective.uses)


def _weights(objective: Objective) -> dict[Network, dict[str, Tensor]]:
    student = objective.network("student")
    encoders = {"student": student, "teacher": objective.network("teacher")}
    return {
        name: {
            key: tensor.detach().to("cpu", copy=True).contiguous()
            for key, tensor in encoders[name].state_dict().items()
        }
        for name in NETWORKS
        if name == "student" or encoders[name] is not student
    }
