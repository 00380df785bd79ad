"""One trial to train, or only to evaluate, on its way from the plan to a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.planned import PlannedCell
from sweeps.worker.encoders import EncoderStore
from sweeps.worker.spool import Spool


@dataclass(frozen=True)
class Job:
    """One trial to train, or only to evaluate where its encoder is kept.

    Attributes:
        cell: What and under which keys.
        spool: Its files in the storage.
        encoders: Where its encoder is kept, or will be.
        stop_file: Exists once the run is to stop.
        data_name: The data's, for the record.
        data_digest: Likewise.
        evaluates_only: The encoder was there when the job was made.
    """

    cell: PlannedCell
    spool: Spool
    encoders: EncoderStore
    stop_file: Path
    data_name: str
    data_digest: str
    evaluates_only: bool = False

    def for_worker(self) -> dict[str, Any]:
        """Plain data for the worker process."""
        return {
            "key": self.cell.key,
            "training": self.cell.training,
            "trial": self.cell.trial.model_dump(mode="json"),
            # Beside the trial: who only needs this number must not parse all of it.
            "num_workers": 1 if self.evaluates_only else self.cell.trial.num_workers,
            "folder": str(self.spool.folder),
            "encoders": str(self.encoders.folder),
            "stop_file": str(self.stop_file),
            "data_name": self.data_name,
            "data_digest": self.data_digest,
        }


def spool_of(job: Mapping[str, Any]) -> Spool:
    """The files of a trial, from what :meth:`Job.for_worker` gave."""
    folder = Path(job["folder"])
    return Spool(folder, folder.parent / job["training"])


def packed(job: Job) -> dict[str, str]:
    """A job as Tune's configuration of a trial."""
    return {"key": job.cell.key, "job": json.dumps(job.for_worker())}
