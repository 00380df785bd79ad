"""Which trainings a run makes, each once, however many trials need its encoder."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from ablations.record import Record
from sweeps.tracking.locks import TrialLocks
from sweeps.worker.encoders import EncoderStore

Answer = Literal["start", "later", "elsewhere", "untrained"] | Record
"""Whether a trial may start: now, once its encoder is there, once another run has
trained it, or not in a run that only evaluates; a record: its training has failed."""
Keep = Literal["all", "none"]
"""Which encoders stay when a run has ended."""
KEPT: tuple[Keep, ...] = get_args(Keep)


@dataclass(frozen=True)
class TrainingPolicy:
    """What a run does about encoders.

    Attributes:
        trains: Whether it makes those it lacks.
        keep: Which of those it has made stay when it has ended.
        arms: Names of the arms it trains or evaluates; empty: all.
    """

    trains: bool = True
    keep: Keep = "all"
    arms: frozenset[str] = frozenset()


class Trainings:
    """Says of each trial whether it may start, so that no encoder is trained twice.

    Of several that need an encoder which is not there, the first trains it; the others
    may start once it has ended.

    Args:
        encoders: Those that are kept.
        locks: Says which trainings are ours.
        policy: What the run does.
    """

    def __init__(
        self, encoders: EncoderStore, locks: TrialLocks, policy: TrainingPolicy
    ) -> None:
        self.encoders, self._locks, self._policy = encoders, locks, policy
        self._makers: dict[str, str] = {}
        self._failed: dict[str, Record] = {}
        self._made: set[str] = set()

    def ask(self, training: str, key: str) -> Answer:
        """Whether a trial that needs this encoder may start.

        Args:
            training: Key of the training.
            key: Key of the trial.
        """
        if self.encoders.has(training):
            return "start"
        if failed := self._failed.get(training):
            return failed
        if training in self._makers:
            return "start" if self._makers[training] == key else "later"
        if not self._policy.trains:
            return "untrained"
        if not self._locks.take(training):
            return "elsewhere"
        if self.encoders.has(training):  # another run has just ended it
            self._locks.give_back(training)
        else:
            self._makers[training] = key
        return "start"

    def ended(self, training: str, key: str, failed: Record | None = None) -> bool:
        """A trial has ended, perhaps without a result; whether it made the encoder."""
        if self._makers.get(training) != key:
            return False
        del self._makers[training]
        self._locks.give_back(training)
        if self.encoders.has(training):
            self._made.add(training)
            return True
        if failed is not None:
            self._failed[training] = failed
        return False

    @property
    def stay(self) -> bool:
        """Whether encoders stay once the run is over."""
        return self._policy.keep == "all"

    def tidy(self, wanted: Collection[str]) -> None:
        """Remove what the run made, unless it stays or is ``wanted`` for a trial."""
        if not self.stay:
            for training in self._made.difference(wanted):
                self.encoders.remove(training)

    def num_bytes(self, trainings: Iterable[str]) -> int:
        """Size on the disk of those of these encoders that are kept."""
        return sum(self.encoders.num_bytes(training) for training in set(trainings))


def with_key(record: Record, key: str) -> Record:
    """A failed training as the record of another trial that needs its encoder."""
    content = {**record.model_dump(), "key": key, "metrics": {}}
    return Record.model_validate(content)
