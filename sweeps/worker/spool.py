"""What a trial leaves beside its checkpoint until the tracking store has it.

The worker writes history and record to the storage folder before it tells the driver.
So a result outlives the worker, the driver and a tracking server that is away; the next
run of any study that needs the trial hands it in, and trains nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.record import Record
from d2v_core.files import write_atomically

Entry = tuple[int, int, Mapping[str, float]]
"""Step, unix milliseconds, metrics."""


@dataclass(frozen=True)
class Spool:
    """The files of one trial.

    Attributes:
        folder: Its own, below ``checkpoints`` of the storage folder.
    """

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The unfinished state."""
        return self.folder / "checkpoint.pt"

    @property
    def _history(self) -> Path:
        return self.folder / "history.json"

    @property
    def _record(self) -> Path:
        return self.folder / "record.json"

    def write_history(self, entries: Sequence[Entry]) -> None:
        """Replace the history."""
        write_atomically(self._history, json.dumps(entries).encode())

    def read_history(self) -> list[Entry]:
        """All progress that was written down, empty without any."""
        if not self._history.exists():
            return []
        return [(step, time, metrics) for step, time, metrics in self._read_list()]

    def _read_list(self) -> list[tuple[int, int, dict[str, float]]]:
        loaded: list[tuple[int, int, dict[str, float]]] = json.loads(
            self._history.read_text()
        )
        return loaded

    def write_record(self, record: Record, timestamp: int) -> None:
        """Write the result; ``timestamp`` in unix milliseconds."""
        content = {"time": timestamp, "record": record.model_dump(mode="json")}
        write_atomically(self._record, json.dumps(content).encode())

    def read_record(self) -> tuple[Record, int] | None:
        """The result and its time, if the trial has ended."""
        if not self._record.exists():
            return None
        content = json.loads(self._record.read_text())
        return Record.model_validate_json(json.dumps(content["record"])), content[
            "time"
        ]

    def handed_in(self, *, keep_checkpoint: bool) -> None:
        """The store has everything: forget it, or all but where to train on."""
        if keep_checkpoint:
            self._record.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
