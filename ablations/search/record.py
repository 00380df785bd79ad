"""What a search found: the contract between ``sweeps`` and ``reports``."""

from __future__ import annotations

from typing import Literal

from ablations.record import Status
from ablations.study.axis import Value
from d2v_core.config import Section

End = Status | Literal["stopped_early", "invalid"]
"""How a trial of a search ended. ``stopped_early``: given up by ASHA after a probe of
the validation split; ``invalid``: its settings do not go together, nothing was
trained."""


class SearchTrial(Section):
    """One suggestion and what came of it."""

    number: int
    """Number in the Optuna study."""
    end: End
    """How it ended."""
    reason: str = ""
    """Why it is not simply finished."""
    value: float | None
    """The metric on the validation split; of one stopped early, at its last probe."""
    cost: float | None = None
    """The second objective, if there is one."""
    key: str = ""
    """The trial's key."""
    point: dict[str, Value]
    """Setting to value."""
    found: bool = False
    """Whether its result was in the store already."""
    efficient: bool = False
    """Whether no other trial is better in both objectives."""

    @property
    def counts(self) -> bool:
        """Whether it has a result of a whole training."""
        return self.end in ("finished", "collapsed")


class Importance(Section):
    """How much of the metric's variance a parameter explains."""

    setting: str
    """The parameter."""
    share: float
    """A number from 0 to 1; the shares of a group of parameters sum to 1."""
    num_trials: int
    """Trials that the share rests on."""
    condition: str = ""
    """Condition under which the parameter exists and the share holds; empty: always."""


class PathStep(Section):
    """One row of the ablation path."""

    label: str
    """What changed."""
    predicted: float
    """The metric on the validation split that the model expects."""


class SearchOutcome(Section):
    """A whole search."""

    version: Literal[1] = 1
    """Version of this schema."""
    name: str
    """Name of the Optuna study."""
    title: str
    """Title, for people."""
    modality: str
    """Modality."""
    scale: str
    """Scale."""
    metric: str
    """What counts, with the unit, on the validation split."""
    higher_is_better: bool
    """Direction."""
    cost: str = ""
    """What the second objective is; empty: there is none."""
    settings: dict[str, str]
    """All parameters, with their short names."""
    trials: list[SearchTrial]
    """All that ended, in order."""
    paper: int | None
    """Number of the trial of the paper's setting, if it has a result."""
    best: int | None
    """Number of the best trial that counts."""
    importance: list[Importance]
    """Shares by fANOVA, most important first; empty with too few trials."""
    path: list[PathStep] = []
    """Steps from the paper's setting to the best."""

    def trial(self, number: int) -> SearchTrial:
        """The trial with this number."""
        return next(trial for trial in self.trials if trial.number == number)
