"""What a person sees while trials run: one live table, or lines when not a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablations.record import DONE
from ablations.redaction import redacted
from sweeps.driver.trial_view import FAILURES, State, TrialView
from sweeps.plan.durations import duration
from sweeps.planned import PlannedCell, StudyPlan

MAX_ROWS = 30
MAX_RUNNING = 4
"""Running trials that have a line of their own."""
LABEL_WIDTH, SEED_WIDTH, OTHER_WIDTH = 18, 11, 18
"""Columns of an arm's name at most, of one seed, and of what else a table has."""
SHORTER = 4
"""Columns that an arm's name has less beside the numbers of a running trial."""
SEED = " · seed "
"""Between arm and seed in a label."""
SILENT_SECONDS = 60.0


def rate(per_second: float) -> str:
    """Updates a second in at most five characters, for people."""
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:.0f}"


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
    best_is: ClassVar[str] = "best trial"

    def add(self, cell: PlannedCell, state: State, score: float | None = None) -> None:
        """Put a trial on the board."""
        label = f"{cell.arm.label}{SEED}{cell.seed}"
        health = cell.trial.health
        least = {
            "target/std_ratio": health.min_target_std,
            "target/std": health.min_target_std,
            "prediction/std": health.min_prediction_std,
        }
        view = TrialView(label, state=state, score=score, least=least)
        self.trials[cell.key] = view

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
        rest += fmean(known) * self.num_not_launched()
        left = self.num_not_launched() + self.count("running")
        return rest / max(1, min(self.num_parallel_trials, left))

    def num_not_launched(self) -> int:
        """Trials that this run has yet to start."""
        return self.count("waiting")

    def updates_per_second(self) -> float:
        """Updates of all running trials together."""
        return sum(t.updates_per_second() or 0.0 for t in self.trials.values())

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
        """One line: what :meth:`lines` says."""
        return " · ".join(self.lines())

    def lines(self) -> list[str]:
        """Counts and times, speed, the best so far; what says nothing is left out."""
        counts = [f"{number} {what}" for what, number in self.shown_counts().items()]
        times = [duration(time.monotonic() - self.began)]
        if self.num_not_launched() or self.count("running"):
            eta = self.eta_seconds()
            times.append(f"ETA {duration(eta) if eta is not None else '…'}")
        if speed := self.updates_per_second():
            times.append(f"{rate(speed)} updates/s")
        parts = [" · ".join(counts), " · ".join(times)]
        if mean := self.best_mean():
            arm, value, count = mean
            seeds = f"{count} seed{'s' * (count != 1)}"
            parts.append(f"best arm {arm} {value:.1f} ({seeds})")
        if best := self.best():
            parts.append(f"{self.best_is} {best.label} {best.score:.1f}")
        return parts

    def shown_counts(self) -> dict[str, int]:
        """The counts that say something."""
        always = ("done", "running", "waiting")
        return {k: n for k, n in self.counts().items() if n or k in always}

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
        return max(scored, key=lambda t: self._sign * (t.score or 0.0), default=None)

    def best_mean(self) -> tuple[str, float, int] | None:
        """The arm with the best mean of its seeds so far, the mean, how many they are.

        Of the first study, reference arms left out.
        """
        means = [
            (arm.label, fmean(scores), len(scores))
            for arm in self.plans[0].expanded.arms
            if not arm.is_reference
            if (scores := self.scores(self.plans[0]).get(arm.label))
        ]
        return max(means, key=lambda mean: self._sign * mean[1], default=None)

    @property
    def _sign(self) -> float:
        return 1.0 if self.plans[0].metric.higher_is_better else -1.0

    def scores(self, plan: StudyPlan) -> dict[str, list[float]]:
        """Scores so far, by arm."""
        by_arm = dict[str, list[float]]()
        for cell in plan.cells:
            if (score := self.trials[cell.key].score) is not None:
                by_arm.setdefault(cell.arm.label, []).append(score)
        return by_arm

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        yield from self.tables(options.max_width)
        if self.count("running"):
            yield self._running()
        if self.bars:
            yield self._bars()
        for line in self.lines():
            yield Text(line)

    def tables(self, width: int) -> list[RenderableType]:
        """The studies in so many columns."""
        return [self._table(plan, width) for plan in self.plans]

    def _running(self) -> Table:
        """Speed, loss and health of some of the running trials."""
        table = Table(box=None, padding=(0, 1, 0, 0))
        table.add_column("running", max_width=LABEL_WIDTH - SHORTER, no_wrap=True)
        for title in ("seed", "done", "up/s", "loss", "spread"):
            table.add_column(title, justify="right", no_wrap=True)
        running = [t for t in self.trials.values() if t.state == "running"]
        for trial in running[:MAX_RUNNING]:
            speed = trial.updates_per_second()
            arm, _, seed = trial.label.rpartition(SEED)
            table.add_row(
                *(Text(arm), seed, trial.share_done()),
                "…" if speed is None else rate(speed),
                trial.loss_text(),
                trial.health_text(),
            )
        if len(running) > MAX_RUNNING:
            table.add_row(f"… {len(running) - MAX_RUNNING} more")
        return table

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

    def _table(self, plan: StudyPlan, width: int) -> Table:
        """Arms with the mean of their seeds, and each seed where that fits."""
        request = plan.expanded.request
        seeds, scores = plan.seeds, self.scores(plan)
        title = f"{plan.name} · {request.modality} · {request.scale}"
        table = Table(title=title, title_justify="left", caption=plan.metric.title)
        table.add_column("arm", max_width=LABEL_WIDTH, no_wrap=True)
        table.add_column("mean", justify="right", no_wrap=True)
        table.add_column("seeds", justify="right", no_wrap=True)
        room = width - LABEL_WIDTH - OTHER_WIDTH
        shown = seeds if len(seeds) * SEED_WIDTH <= room else []
        for seed in shown:
            table.add_column(f"seed {seed}", justify="right")
        keys = {(cell.arm.label, cell.seed): cell.key for cell in plan.cells}
        for arm in plan.expanded.arms[:MAX_ROWS]:
            own = scores.get(arm.label, [])
            num = sum((arm.label, seed) in keys for seed in seeds)
            views = [
                self.trials[key].text() if (key := keys.get((arm.label, seed))) else "–"
                for seed in shown
            ]
            mean = f"{fmean(own):.1f}" if own else "·"
            table.add_row(Text(arm.label), mean, f"{len(own)}/{num}", *views)
        if len(plan.expanded.arms) > MAX_ROWS:
            table.add_row(f"… {len(plan.expanded.arms) - MAX_ROWS} more")
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
