"""What reports ask of wherever results are kept, and MLflow's answer to it.

Four questions, so that nothing behind them knows whether the answers come from a
tracking store or from a file of records (:mod:`reports.store.records`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from mlflow import MlflowClient

from ablations.mlflow_names import ROLE_TAG, STUDY_ROLE, study_tag
from ablations.record import Manifest
from reports.statistics.inference import LARGEST
from reports.store.foreign import Origin
from reports.store.runs import StoredRun, experiment_names, read_artifact, search
from reports.text import for_filter


class Reader(ABC):
    """Where results are read from.

    Attributes:
        name: For messages, as their subject.
    """

    name = "this tracking store"

    @abstractmethod
    def parents(self) -> Iterator[tuple[str, StoredRun]]:
        """The parent run of every request for a study, after the study's name."""

    @abstractmethod
    def trials(self, manifest: Manifest) -> Iterator[StoredRun]:
        """The runs of a study's trials, other runs of that study perhaps among them."""

    @abstractmethod
    def artifact(self, name: str, origin: Origin) -> str | None:
        """The text of an artifact of a run; None where it has none of that name.

        Raises:
            StoreContentError: It cannot be used.
        """

    @abstractmethod
    def history(self, run_id: str, metric: str) -> dict[int, float]:
        """Finite values by step; of a step that was logged twice, the last."""


class StoreReader(Reader):
    """Reads a tracking store."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def parents(self) -> Iterator[tuple[str, StoredRun]]:
        """An experiment is named after its study."""
        names = experiment_names(self._client)
        condition = f"{for_filter(ROLE_TAG)} = '{STUDY_ROLE}'"
        for run in search(self._client, names, condition):
            yield names[run.experiment_id], run

    def trials(self, manifest: Manifest) -> Iterator[StoredRun]:
        """Whoever logged them: studies share trials."""
        condition = f"{for_filter(study_tag(manifest.study['name']))} LIKE '%'"
        return search(self._client, experiment_names(self._client), condition)

    def artifact(self, name: str, origin: Origin) -> str | None:
        """Downloaded."""
        return read_artifact(self._client, name, origin)

    def history(self, run_id: str, metric: str) -> dict[int, float]:
        """One request."""
        return {
            point.step: point.value
            for point in self._client.get_metric_history(run_id, metric)
            if abs(point.value) <= LARGEST  # not so for NaN
        }


Source = MlflowClient | Reader
"""What functions that read take: a client of a tracking store is one."""


def reader_of(source: Source) -> Reader:
    """The reader of a source."""
    return source if isinstance(source, Reader) else StoreReader(source)
