"""What a training leaves: its encoders, and all that is needed to use them later.

A folder of three files that appears whole or not at all: ``encoder.json`` and, for each
network, its weights as safetensors. Every file is checked against its digest when it is
read, so whatever is loaded is what was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from d2v_core.build import build_encoder
from d2v_core.config.choices import Network
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.objectives.protocol import Objective
from d2v_core.training.checkpoint import TrainingState
from d2v_core.training.health import Collapse

VERSION = 1
DESCRIPTION = "encoder.json"
NETWORKS: tuple[Network, ...] = ("student", "teacher")
BYTES_PER_WEIGHT = 4
"""Weights are kept as they are trained, in float32."""


class BrokenEncoderError(ValueError):
    """A kept encoder cannot be read: cut short, garbled, or of another version."""


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
        preprocessing: What who uses the encoder elsewhere must do to the input.
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
            state: Of a training that has ended.
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        part.chmod(0o755)  # mkdtemp's is for nobody else, kept encoders are shared
        files = {}
        for name, weights in trained.networks.items():
            content = save(dict(weights), metadata={"format": "pt"})
            _write(part / f"{name}.safetensors", content)
            files[name] = {"bytes": len(content), "sha256": _digest(content)}
        about = {
            **{k: v for k, v in vars(trained).items() if k != "networks"},
            "collapse": asdict(trained.collapse) if trained.collapse else None,
            "files": files,
        }
        about = json.loads(json.dumps(about))  # as it will be read: sealed like that
        text = json.dumps({"version": VERSION, "about": about, **_sealed(about)})
        _write(part / DESCRIPTION, text.encode())
        _put(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def read_trained(folder: Path) -> TrainedEncoder:
    """Read a folder, checking every digest.

    Raises:
        FileNotFoundError: There is none.
        BrokenEncoderError: It is not what was written, or of another version.
    """
    try:
        content = json.loads((folder / DESCRIPTION).read_bytes())
        if content.get("version") != VERSION:
            found = content.get("version")
            raise BrokenEncoderError(f"must be of version {VERSION}, is of {found}")
        about = content["about"]
        if content["sha256"] != _sealed(about)["sha256"]:
            raise BrokenEncoderError(f"{DESCRIPTION} is not what was written")
        networks = {
            name: _read_weights(folder / f"{name}.safetensors", file)
            for name, file in about.pop("files").items()
        }
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
    except BrokenEncoderError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise BrokenEncoderError(f"{DESCRIPTION} is garbled ({error})") from None


def is_kept(folder: Path) -> bool:
    """Whether an encoder was written there; its digests are looked at when read."""
    return (folder / DESCRIPTION).is_file()


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


def _read_weights(file: Path, known: Mapping[str, Any]) -> dict[str, Tensor]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise BrokenEncoderError(f"{file.name} is missing") from None
    if len(content) != known["bytes"]:
        sizes = f"has {len(content):,} of {known['bytes']:,} bytes"
        raise BrokenEncoderError(f"{file.name} {sizes}")
    if _digest(content) != known["sha256"]:
        raise BrokenEncoderError(f"{file.name} is not what was written")
    weights: dict[str, Tensor] = load(content)
    return weights


def _sealed(about: Mapping[str, Any]) -> dict[str, str]:
    return {"sha256": _digest(json.dumps(about, sort_keys=True).encode())}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _put(part: Path, folder: Path) -> None:
    """Give a folder its name; two that finish together leave either, both whole."""
    while True:
        try:
            os.rename(part, folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(folder)
        else:
            return
