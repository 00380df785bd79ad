"""What a search found: history, best, importance, and the path to the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from ablations.search.bound_space import BoundSpace
from ablations.search.path import Step, find_path
from ablations.search.record import (
    Importance,
    PathStep,
    SearchOutcome,
    SearchTrial,
)
from sweeps.search.distributions import from_optuna, optuna_name
from sweeps.search.study import COSTS, END, FOUND, KEY, REASON, counts, search_id
from sweeps.search.surrogate import fit_surrogate

FEWEST_TRIALS = 4
"""Below, nothing is said about importance."""


def analyse(
    bound: BoundSpace, study: optuna.Study, paper_key: str
) -> tuple[SearchOutcome, list[Step]]:
    """The outcome, and the path from the paper's setting to the best; it may be empty.

    Args:
        bound: The space.
        study: Its trials.
        paper_key: Key of the paper's setting.
    """
    efficient = {trial.number for trial in study.best_trials}
    counted = [trial for trial in study.get_trials() if counts(trial)]
    trials = [_search_trial(trial, trial.number in efficient) for trial in counted]
    scored = [trial for trial in trials if trial.counts and trial.value is not None]
    sign = 1.0 if bound.metric.higher_is_better else -1.0
    best = max(scored, key=lambda t: sign * (t.value or 0.0), default=None)
    paper = next((trial for trial in scored if trial.key == paper_key), None)
    steps: list[Step] = []
    if best is not None and paper is not None and best.key != paper.key:
        points, values = [t.point for t in scored], [t.value or 0.0 for t in scored]
        predict = fit_surrogate(bound, points, values, seed=bound.base.seed)
        steps = find_path(bound, best.point, predict)
    outcome = SearchOutcome(
        name=search_id(bound),
        title=bound.space.title,
        modality=bound.request.modality,
        scale=bound.request.scale,
        metric=f"{bound.metric.title}, validation split",
        higher_is_better=bound.metric.higher_is_better,
        cost=COSTS[bound.space.cost],
        settings=bound.short_names(),
        trials=trials,
        paper=paper.number if paper else None,
        best=best.number if best else None,
        importance=importance(bound, study),
        path=[PathStep(label=s.label, predicted=s.predicted) for s in steps],
    )
    return outcome, steps


def _search_trial(trial: FrozenTrial, efficient: bool) -> SearchTrial:
    attributes = trial.user_attrs
    values = trial.values or [None]
    return SearchTrial.model_validate(
        {
            "number": trial.number,
            "end": attributes[END],
            "reason": attributes.get(REASON, ""),
            "value": values[0],
            "cost": values[1] if len(values) > 1 else None,
            "key": attributes.get(KEY, ""),
            "point": from_optuna(trial.params),
            "found": attributes.get(FOUND, False),
            "efficient": efficient,
        }
    )


def importance(bound: BoundSpace, study: optuna.Study) -> list[Importance]:
    """By fANOVA (Hutter and others, ICML 2014), over whole trainings.

    Parameters that always exist share one analysis; those that exist under a condition
    are compared beside them where it holds.
    """
    shares_of_all: list[Importance] = []
    groups = _groups(bound)
    for condition, names in groups.items():
        wanted = [*groups.get("", []), *names] if condition else names
        trials = [t for t in _complete(study) if set(wanted) <= set(t.params)]
        values = [t.values[0] for t in trials]
        if len(trials) < FEWEST_TRIALS or math.isclose(min(values), max(values)):
            continue
        shares = get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(seed=bound.base.seed),
            params=wanted,
            target=lambda trial: trial.values[0],
        )
        shares_of_all += [
            Importance(
                setting=next(iter(from_optuna({name: 1.0}))),
                share=share,
                num_trials=len(trials),
                condition=condition,
            )
            for name, share in shares.items()
            if name in names
        ]
    return sorted(shares_of_all, key=lambda one: (one.condition, -one.share))


def _complete(study: optuna.Study) -> Sequence[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE,))


def _groups(bound: BoundSpace) -> dict[str, list[str]]:
    """Optuna's names of the parameters that exist under the same condition."""
    searched = {parameter.setting for parameter in bound.parameters}
    groups: dict[str, list[str]] = {}
    for parameter in bound.parameters:
        conditions = {k: v for k, v in parameter.when.items() if k in searched}
        words = " and ".join(f"{k} = {v}" for k, v in conditions.items())
        groups.setdefault(words, []).append(optuna_name(parameter))
    return groups
