"""Files a trial leaves beside its checkpoint until the tracking store has them.

The worker writes history and record to the storage folder before it tells the driver.
So a result outlives the worker, the driver and a tracking server that is away; the next
run of any study that needs the trial hands it in, and trains nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from ablations.record import Record
from d2v_core.files import set_aside, set_aside_torn_archive, write_atomically

Entry = tuple[int, int, Mapping[str, float]]
"""Step, unix milliseconds, metrics."""
HISTORY = TypeAdapter(list[Entry])
Content = TypeVar("Content")


@dataclass(frozen=True)
class Spool:
    """The files of one trial.

    Attributes:
        folder: Its own, below ``checkpoints`` of the storage folder: its result.
        training: That of its training, which other trials may continue: the unfinished
            state, and progress so far; None: the same folder.
    """

    folder: Path
    training: Path | None = None

    @property
    def checkpoint(self) -> Path:
        """File of the unfinished state."""
        return (self.training or self.folder) / "checkpoint.pt"

    @property
    def _history(self) -> Path:
        return (self.training or self.folder) / "history.json"

    @property
    def _record(self) -> Path:
        return self.folder / "record.json"

    @property
    def picture(self) -> Path:
        """File of some samples and what is recovered of them, if there is one."""
        return self.folder / "masked.png"

    @property
    def exists(self) -> bool:
        """Whether anything of the trial or of its training lies there."""
        return self.folder.exists() or bool(self.training and self.training.exists())

    def write_history(self, entries: Sequence[Entry]) -> None:
        """Replace the history."""
        write_atomically(self._history, json.dumps(entries).encode())

    def read_history(self) -> list[Entry]:
        """Read the progress beside the checkpoint, empty without any."""
        read = self._read(self._history, "progress so far is lost", _parse_history)
        return read or []

    def write_record(
        self, record: Record, timestamp: int, history: Sequence[Entry] = ()
    ) -> None:
        """Write the result and what led to it; ``timestamp`` in unix milliseconds."""
        content = {
            "time": timestamp,
            "record": record.model_dump(mode="json"),
            "history": history,
        }
        write_atomically(self._record, json.dumps(content).encode())

    def write_picture(self, png: bytes) -> None:
        """Keep a picture until the store has it."""
        write_atomically(self.picture, png)

    def read_record(self) -> tuple[Record, int] | None:
        """Read the result and its time, if the trial has ended."""
        return self._read(self._record, "and the trial is trained again", _parse_record)

    def read_progress(self) -> list[Entry]:
        """Read what led to the result; without one, progress so far."""
        with suppress(OSError, ValueError, KeyError):
            ended = json.loads(self._record.read_bytes())
            if history := _parse_history(ended["history"]):
                return history
        return self.read_history()

    def set_aside_torn_checkpoint(self) -> None:
        """Rename a checkpoint that is not whole: whatever lies there is ours."""
        with suppress(FileNotFoundError):
            remedy = "and the trial is trained from its start"
            set_aside_torn_archive(self.checkpoint, remedy)

    def _read(
        self, file: Path, remedy: str, parse: Callable[[Any], Content]
    ) -> Content | None:
        """Read a file; None without it, or if it is torn, which is said."""
        try:
            return parse(json.loads(file.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            set_aside(file, "is torn, or of another version", remedy)
            return None

    def handed_in(self, *, done: bool) -> None:
        """Forget a result that the store has; one that is not done is tried again."""
        if done:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self._record.unlink(missing_ok=True)

    def forget_training(self) -> None:
        """Drop the unfinished state, as the encoder is kept."""
        if self.training is not None:
            shutil.rmtree(self.training, ignore_errors=True)


def _parse_history(content: Any) -> list[Entry]:
    entries: list[Entry] = HISTORY.validate_python(content)
    return entries


def _parse_record(content: Any) -> tuple[Record, int]:
    record = Record.model_validate_json(json.dumps(content["record"]))
    return record, int(content["time"])
