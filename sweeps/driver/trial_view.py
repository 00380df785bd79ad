"""What is shown of one trial while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rich.text import Text

from ablations.mlflow_names import LOSS_METRIC
from ablations.record import DONE, Status

State = (
    Status
    | Literal["waiting", "running", "stopped", "elsewhere", "cached", "lacking", "left"]
)
"""``elsewhere``: another process trains it; once it ended, its status. ``lacking``: its
encoder is not kept, and this run only evaluates. ``left``: of an arm that this run was
not asked for."""
FAILURES: tuple[Status, ...] = ("diverged", "out_of_memory", "timed_out", "failed")
STYLES: dict[State, str] = {
    "waiting": "dim",
    "running": "cyan",
    "finished": "green",
    "collapsed": "yellow",
    **dict.fromkeys(FAILURES, "bold red"),
    "stopped": "magenta",
    "elsewhere": "dim cyan",
    "cached": "green dim",
    "lacking": "yellow dim",
    "left": "dim",
}
HEALTH = ("target/std_ratio", "target/std", "prediction/std")
"""Spreads that fall towards zero in a collapse; the first that is logged is shown. That
of targets without any norm is a ratio to the first ones."""


@dataclass
class TrialView:
    """What is shown of one trial.

    Attributes:
        label: Arm and seed.
        state: Where it is.
        step: Updates done.
        num_steps: Updates in all.
        first_step: Where this attempt began.
        started: When, in monotonic seconds.
        score: The metric that counts, once it has ended.
        seconds: How long it took.
        latest: Metrics as last reported.
        least: Spreads that would be a collapse, by metric.
    """

    label: str
    state: State = "waiting"
    step: int = 0
    num_steps: int = 0
    first_step: int = 0
    started: float = 0.0
    score: float | None = None
    seconds: float = 0.0
    latest: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it has a record of this run."""
        return self.state in (*DONE, *FAILURES)

    @property
    def waits(self) -> bool:
        """Whether it still has to be trained, by us or by others."""
        return self.state in ("waiting", "elsewhere")

    @property
    def unfinished(self) -> bool:
        """Whether nobody has its result yet."""
        return self.waits or self.state in ("running", "stopped")

    def updates_per_second(self) -> float | None:
        """Speed so far, in this attempt; None before the first updates, and after."""
        if self.state != "running" or not self.first_step < self.step < self.num_steps:
            return None
        return (self.step - self.first_step) / self._seconds_so_far()

    def rest_seconds(self) -> float | None:
        """Rest of the training at the speed so far; None before the first updates."""
        done = self.step - self.first_step
        if not done:
            return None
        return self._seconds_so_far() / done * (self.num_steps - self.step)

    def _seconds_so_far(self) -> float:
        return max(time.monotonic() - self.started, 1e-9)

    def text(self) -> Text:
        """The cell of the live table."""
        shown: str = self.state
        if self.state == "running":
            shown = self.share_done()
        elif self.score is not None:
            marks = {"collapsed": " collapsed", "cached": " ="}
            shown = f"{self.score:.1f}{marks.get(self.state, '')}"
        elif self.state == "waiting":
            shown = "·"
        return Text(shown, style=STYLES[self.state])

    def share_done(self) -> str:
        """How far the training is; after its end, what follows."""
        if not self.num_steps or self.step >= self.num_steps:
            return "probing"
        return f"{100 * self.step // self.num_steps:3d} %"

    def loss_text(self) -> str:
        """The last loss."""
        loss = self.latest.get(LOSS_METRIC)
        return "…" if loss is None else f"{loss:.3g}"

    def health_text(self) -> Text:
        """The spread of the targets, or of the predictions; red when it is too low."""
        for name in HEALTH:
            if (spread := self.latest.get(name)) is not None:
                low = spread < self.least.get(name, 0.0)
                word = "low" if low else "ok"
                return Text(f"{word} {spread:.2f}", style="red" if low else "green")
        return Text("…" if self.state == "running" and not self.latest else "–")
