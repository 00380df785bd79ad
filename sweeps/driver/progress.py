"""What a person sees while trials run: one live table, or lines when not a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablations.record import DONE, Status
from ablations.redaction import redacted
from sweeps.plan.durations import duration
from sweeps.planned import PlannedCell, StudyPlan

State = (
    Status | Literal["waiting", "running", "stopped", "elsewhere", "cached", "lacking"]
)
"""``elsewhere``: another process trains it; once it ended, its status. ``lacking``: its
encoder is not kept, and this run only evaluates."""
FAILURES: tuple[Status, ...] = ("diverged", "out_of_memory", "timed_out", "failed")
MAX_ROWS = 30
SILENT_SECONDS = 60.0
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
}


@dataclass
class TrialView:
    """What is shown of one trial."""

    label: str
    state: State = "waiting"
    step: int = 0
    num_steps: int = 0
    first_step: int = 0
    started: float = 0.0
    score: float | None = None
    seconds: float = 0.0

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

    def rest_seconds(self) -> float | None:
        """Rest of the training at the speed so far; None before the first updates."""
        done = self.step - self.first_step
        if not done:
            return None
        per_step = (time.monotonic() - self.started) / done
        return per_step * (self.num_steps - self.step)

    def text(self) -> Text:
        """The cell of the live table."""
        shown: str = self.state
        if self.state == "running":
            percent = 100 * self.step // max(1, self.num_steps)
            shown = f"{percent:3d} %" if self.num_steps else "probing"
        elif self.score is not None:
            marks = {"collapsed": " collapsed", "cached": " ="}
            shown = f"{self.score:.1f}{marks.get(self.state, '')}"
        elif self.state == "waiting":
            shown = "·"
        return Text(shown, style=STYLES[self.state])


@dataclass
class Board:
    """State of every trial of a run, and its drawing.

    Attributes:
        plans: The studies; rows are their arms, columns their seeds.
        num_parallel_trials: Trials that run at the same time.
        bars: Whether running trials get a bar each.
        trials: By key.
    """

    plans: Sequence[StudyPlan]
    num_parallel_trials: int
    bars: bool = False
    trials: dict[str, TrialView] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def add(self, cell: PlannedCell, state: State, score: float | None = None) -> None:
        """Put a trial on the board."""
        label = f"{cell.arm.label} · seed {cell.seed}"
        self.trials[cell.key] = TrialView(label, state=state, score=score)

    def count(self, *states: State) -> int:
        """Trials in any of some states."""
        return sum(trial.state in states for trial in self.trials.values())

    def eta_seconds(self) -> float | None:
        """Rest of the work over the trials at once, from those seen so far.

        A trial that trains is priced by its own speed, one that waits by the mean of
        the trials that ran; None while nothing is known.
        """
        known = [t.seconds for t in self.trials.values() if t.seconds]
        rest = 0.0
        for trial in self.trials.values():
            if trial.state == "running" and (left := trial.rest_seconds()) is not None:
                rest += left
                known.append(time.monotonic() - trial.started + left)
        if not known:
            return None
        mean = sum(known) / len(known)
        rest += mean * self.count("waiting")
        left = self.count("waiting", "running")
        return rest / max(1, min(self.num_parallel_trials, left))

    def counts(self) -> dict[str, int]:
        """How many trials are where."""
        return {
            "done": self.count(*DONE),
            "running": self.count("running"),
            "waiting": self.count("waiting"),
            "failed": self.count(*FAILURES),
            "cached": self.count("cached"),
        }

    def summary(self) -> str:
        """One line: counts, ETA, best so far."""
        parts = [f"{number} {what}" for what, number in self.counts().items()]
        if self.count("waiting", "running"):
            eta = self.eta_seconds()
            parts.append(f"ETA {duration(eta) if eta is not None else '…'}")
        if best := self.best():
            parts.append(f"best {best.label} {best.score:.1f}")
        return " · ".join(parts)

    def best(self) -> TrialView | None:
        """The trial with the best score so far, reference arms left out."""
        references = {
            cell.key for p in self.plans for cell in p.cells if cell.arm.is_reference
        }
        scored = [
            trial
            for key, trial in self.trials.items()
            if trial.score is not None and key not in references
        ]
        sign = 1.0 if self.plans[0].metric.higher_is_better else -1.0
        return max(scored, key=lambda t: sign * (t.score or 0.0), default=None)

    def __rich__(self) -> RenderableType:
        tables = [self._table(plan) for plan in self.plans]
        return Group(*tables, *([self._bars()] * self.bars), Text(self.summary()))

    def _bars(self) -> Table:
        """A bar for each running trial."""
        grid = Table.grid(padding=(0, 1))
        for trial in self.trials.values():
            if trial.state == "running":
                bar = ProgressBar(max(1, trial.num_steps), trial.step, width=40)
                rest = trial.rest_seconds()
                left = f"{duration(rest)} left" if rest is not None else "…"
                grid.add_row(trial.label, bar, f"{trial.step}/{trial.num_steps}", left)
        return grid

    def _table(self, plan: StudyPlan) -> Table:
        request = plan.expanded.request
        seeds = plan.seeds
        title = f"{plan.name} · {request.modality} · {request.scale}"
        table = Table(title=title, title_justify="left", caption=plan.metric.title)
        table.add_column("arm")
        for seed in seeds:
            table.add_column(f"seed {seed}", justify="right")
        keys = {(cell.arm.label, cell.seed): cell.key for cell in plan.cells}
        for arm in plan.expanded.arms[:MAX_ROWS]:
            own = [keys.get((arm.label, seed)) for seed in seeds]
            views = [self.trials[key].text() if key else "–" for key in own]
            table.add_row(arm.label, *views)
        if len(plan.expanded.arms) > MAX_ROWS:
            table.add_row(f"… {len(plan.expanded.arms) - MAX_ROWS} more arms")
        return table


class LiveView:
    """Redraws the board in place on a terminal; elsewhere prints a line per trial.

    Args:
        board: What is drawn.
        console: Where.
        on_say: Hears what people are told besides.
    """

    def __init__(
        self, board: Board, console: Console, on_say: Callable[[str], None]
    ) -> None:
        self.board, self.console, self._on_say = board, console, on_say
        self._live: Live | None = None
        self._said: set[str] = set()
        self._printed = time.monotonic()

    def __enter__(self) -> LiveView:
        if self.console.is_terminal:
            self._live = Live(self.board, console=self.console, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line for people, above the live table where there is one."""
        text = redacted(text)
        self.console.print(text, style="yellow", markup=False, soft_wrap=True)
        self._on_say(text)

    def say_once(self, text: str) -> None:
        """The same, unless it was said before."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def say_ended(self, trial: TrialView) -> None:
        """Tell that a trial ended, where there is no live table."""
        score = f" {trial.score:.2f}" if trial.score is not None else ""
        line = f"{trial.label}: {trial.state}{score} ({duration(trial.seconds)})"
        self._print(f"{line}  [{self.board.summary()}]")

    def still_there(self) -> None:
        """Tell how far it is, where no line has been printed for a while."""
        if time.monotonic() - self._printed > SILENT_SECONDS:
            self._print(f"[{self.board.summary()}]")

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        if self._live is None:
            self.console.print(line, markup=False, soft_wrap=True)
