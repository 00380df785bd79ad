"""What a run did, for people and exit codes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ablations.record import DONE, Record, Status
from ablations.redaction import redacted
from sweeps.plan.durations import duration


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        num_cached: Trials found in the store by key.
        trained: How many trials ran, by how they ended.
        failed: Records of trials without a result.
        num_unfinished: Trials without a result, failed ones aside.
        trouble: What made it impossible to go on, such as a full disk.
        ended_by: Why trials have no result, if any: a budget was given, or else.
        num_left: Trials of arms that the run was not about.
        lacking: Trials without an encoder, in a run that only evaluates.
        num_evaluated: How many of those that ran took an encoder that was there.
        encoder_bytes: Size of the kept encoders of all trials, on the disk.
        seconds: Wall-clock.
        event_log: Its file.
    """

    num_cached: int = 0
    trained: Counter[Status] = field(default_factory=Counter)
    failed: list[Record] = field(default_factory=list)
    num_unfinished: int = 0
    num_left: int = 0
    trouble: str = ""
    ended_by: Literal["budget", "other"] = "other"
    lacking: list[str] = field(default_factory=list)
    num_evaluated: int = 0
    encoder_bytes: int = 0
    seconds: float = 0.0
    event_log: Path | None = None

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before the end, other than by its budget."""
        return bool(self.num_unfinished) and self.ended_by != "budget"

    def add(self, record: Record) -> None:
        """A trial has ended."""
        self.trained[record.status] += 1
        if record.status not in DONE:
            self.failed.append(record)

    def sentence(self) -> str:
        """What happened, for people."""
        others = f"; {self.num_left} of other arms left" * bool(self.num_left)
        if not self.trained and not self.num_unfinished and not self.lacking:
            return (
                f"nothing to train: all {self.num_cached} trials were found in the "
                f"store by key{others}"
            )
        ended = ", ".join(f"{count} {how}" for how, count in self.trained.items())
        return (
            f"{self._why()}{self._ran()}"
            f"{f' ({ended})' * bool(ended)}, {self.num_cached} cached, "
            f"in {duration(self.seconds)}{others}"
        )

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "summary": self.sentence(),
            "cached": self.num_cached,
            "ended": dict(self.trained),
            "evaluated_on_kept_encoders": self.num_evaluated,
            "unfinished": self.num_unfinished,
            "left": self.num_left,
            "failed": [
                {"key": r.key, "status": r.status, "reason": redacted(r.reason)}
                for r in self.failed
            ],
            "lacking": self.lacking,
            "seconds": self.seconds,
            "event_log": str(self.event_log) if self.event_log else None,
        }

    def _ran(self) -> str:
        num_trained = self.trained.total() - self.num_evaluated
        trained = f"{num_trained} trial{'s' * (num_trained != 1)} trained"
        if not self.num_evaluated:
            return trained
        evaluated = f"{self.num_evaluated} evaluated on kept encoders"
        return f"{trained}, {evaluated}" if num_trained else evaluated

    def _why(self) -> str:
        if not self.num_unfinished:
            return ""
        if self.ended_by == "budget":
            return f"the budget leaves {self.num_unfinished} trials for another time: "
        return "stopped before the end: "
