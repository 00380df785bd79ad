"""One trial to train, on its way from the plan to a worker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.planned import PlannedCell


@dataclass(frozen=True)
class Job:
    """One trial to train.

    Attributes:
        cell: What and under which key.
        folder: Its own in the storage.
        stop_file: Exists once the run is to stop.
        data_name: Of the data, for the record.
        data_digest: Likewise.
    """

    cell: PlannedCell
    folder: Path
    stop_file: Path
    data_name: str
    data_digest: str

    def for_worker(self) -> dict[str, Any]:
        """Plain data for the worker process."""
        return {
            "key": self.cell.key,
            "trial": self.cell.trial.model_dump(mode="json"),
            # Beside the trial: who only needs this number must not parse all of it.
            "num_workers": self.cell.trial.num_workers,
            "folder": str(self.folder),
            "stop_file": str(self.stop_file),
            "data_name": self.data_name,
            "data_digest": self.data_digest,
        }


def packed(job: Job) -> dict[str, str]:
    """A job as Tune's configuration of a trial."""
    return {"key": job.cell.key, "job": json.dumps(job.for_worker())}
