"""``--until-decided``: planned looks, and arms that stop once their claims are decided.

The looks are judged by ``reports``, the trials are run by ``sweeps``; neither knows the
other, so that the loop between them is here. It keeps nothing in mind: what comes next
follows from the store, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from d2v_core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from ablations.record import Manifest
    from reports.build import Report
    from reports.statistics.summary import StudyResult
    from sweeps.driver.outcome import Outcome
    from sweeps.planned import StudyPlan
    from sweeps.tracking.stores import Stores

    Run = Callable[[Sequence[StudyPlan], float | None], Outcome]

UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="Judge the claims at 8, 12, 16, … seeds, at levels that together stay at "
        "0.05, and go on only with arms whose claims are undecided.",
    ),
]
MaxSeeds = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="With --until-decided: seeds of the last look; default: 20."
    ),
]
DEFAULT_MAX_SEEDS = 20
OPTION = "--until-decided"


def chosen_looks(
    until_decided: bool, max_seeds: int | None, seeds: str | None
) -> tuple[int, ...]:
    """The looks that the options ask for; none without ``--until-decided``.

    Raises:
        ConfigError: The options contradict each other, or allow no look.
    """
    if not until_decided:
        if max_seeds is not None:
            raise ConfigError([Problem("--max-seeds", f"goes with {OPTION}")])
        return ()
    from reports.statistics.spending import FIRST_LOOK, MOST_SEEDS, planned_looks

    if seeds is not None:
        requirement = "chooses the seeds itself, give --max-seeds instead of --seeds"
        raise ConfigError([Problem(OPTION, requirement)])
    most = DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds
    if not FIRST_LOOK <= most <= MOST_SEEDS:
        requirement = f"must be from {FIRST_LOOK}, the first look, to {MOST_SEEDS}"
        raise ConfigError([Problem("--max-seeds", f"{requirement}, got {most}")])
    return planned_looks(most)


def seeds_option(looks: Sequence[int], seeds: str | None) -> str | None:
    """What ``--seeds`` would be for the last look."""
    return str(looks[-1]) if looks else seeds


def check_claims(studies: Iterable[Any], arms: Collection[str]) -> None:
    """Refuse expanded studies that have nothing to decide, and arms that were chosen.

    Raises:
        ConfigError: Names each.
    """
    if arms:
        message = f"must stand without {OPTION}, which goes on with the arms it needs"
        raise ConfigError([Problem("--arm", message)])
    problems = [
        Problem(OPTION, f"study {each.study.name} has no claims to decide")
        for each in studies
        if not each.study.claims
    ]
    if problems:
        raise ConfigError(problems)


def results_so_far(plan: StudyPlan, stores: Stores) -> tuple[StudyResult, Manifest]:
    """A study as the store has it, with every seed of the last look in every arm."""
    import pandas as pd

    from reports.statistics.summary import study_result
    from reports.store.frames import trial_frame
    from reports.store.runs import open_store
    from sweeps.plan.planning import make_manifest

    manifest = make_manifest(plan, command="")
    if stores.is_new or plan.data_problem:
        rows = [
            {"arm": cell.arm, "seed": cell.seed, "status": "missing", "reason": ""}
            for cell in manifest.cells
        ]
        return study_result(pd.DataFrame(rows), manifest), manifest
    frame = trial_frame(open_store(stores.tracking_uri), manifest)
    return study_result(frame, manifest), manifest


def run_until_decided(
    plans: Sequence[StudyPlan],
    stores: Stores,
    run: Run,
    console: Console,
    budget_seconds: float | None,
) -> Outcome:
    """Run look after look until the claims are decided or the seeds are used up.

    Args:
        plans: Studies with looks, every arm with the seeds of the last one.
        stores: The places.
        run: Runs plans within so many seconds, if any are given.
        console: For a line before each look.
        budget_seconds: For all looks together.

    Raises:
        ConfigError: As from a run; of the budget only before the first trial.
    """
    from reports.claims.next_seeds import seeds_by_arm
    from sweeps.driver.budget import BudgetTooSmallError

    began = time.monotonic()
    before: list[dict[str, int]] = [{} for _ in plans]
    outcomes: list[Outcome] = []
    while True:
        now = [seeds_by_arm(*results_so_far(plan, stores)) for plan in plans]
        if now == before:
            return joined(outcomes)
        for plan, counts, old in zip(plans, now, before, strict=True):
            if counts != old:
                line = f"{plan.name}: {look_text(counts, old)}"
                console.print(line, markup=False, soft_wrap=True)
        current = [p.with_seeds(c) for p, c in zip(plans, now, strict=True)]
        left = None
        if budget_seconds is not None:
            left = budget_seconds - (time.monotonic() - began)
        try:
            outcomes.append(run(current, left))
        except BudgetTooSmallError:
            if not outcomes:
                raise
            line = "the budget leaves the next look for another time"
            console.print(line, markup=False, soft_wrap=True)
            return joined(outcomes)
        before = now
        if is_over(outcomes[-1]):
            return joined(outcomes)


def is_over(outcome: Outcome) -> bool:
    """Whether a look was not finished: stopped, out of budget, or with a failure.

    A diverged trial is no reason: the next try would diverge, too.
    """
    failed = any(record.status != "diverged" for record in outcome.failed)
    return bool(outcome.num_unfinished or outcome.trouble or failed)


def look_text(counts: Mapping[str, int], before: Mapping[str, int]) -> str:
    """``to the next look, 12 seeds of K=1, K=4 (K=2: no more)``."""
    growing = [arm for arm in counts if counts[arm] > before.get(arm, 0)]
    most = sorted({counts[arm] for arm in growing})
    texts = [
        f"{n} seeds of {', '.join(arm for arm in growing if counts[arm] == n)}"
        for n in most
    ]
    stopped = [arm for arm in counts if arm not in growing]
    others = f" ({', '.join(stopped)}: no more)" if stopped else ""
    return f"to the next look, {'; '.join(texts)}{others}"


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """What all looks did, as of one run: what they trained was not cached before."""
    last, earlier = outcomes[-1], outcomes[:-1]
    total = replace(last, trained=last.trained.copy())
    for one in earlier:
        total.trained.update(one.trained)
        total.seconds += one.seconds
        total.num_evaluated += one.num_evaluated
        total.num_cached -= one.trained.total() - len(one.failed)
    total.num_cached = max(0, total.num_cached)
    return total


def decision_lines(report: Report) -> list[str]:
    """Per claim: decided at which look, or what would be needed."""
    lines = []
    for verdict in report.verdicts:
        if verdict.verdict != "undecided":
            end = f"{verdict.verdict} at the look at {verdict.look} seeds"
        else:
            at = f"the look at {verdict.look} seeds" if verdict.look else "no look yet"
            needed = verdict.seeds_needed
            more = f"; about {needed} seeds would do" if needed else ""
            if isinstance(needed, str):
                more = f"; seeds that would do: {needed}"
            end = f"undecided after {at}{more}"
        lines.append(f"{report.manifest.study['name']}: {verdict.claim}: {end}")
    return lines
