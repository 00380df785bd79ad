"""The rule that counts the seeds in which an arm collapsed.

Three tests can call a seed collapsed: the reference's on the spread of targets and
predictions (the trial's own status), one on the score and one on the rank of the
features. The reason says how often each spoke.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ablations.study.claims import Collapses
from reports.claims.evidence import (
    NOT_REACHABLE,
    Evidence,
    Finding,
    Outcome,
    SeedsNeeded,
)
from reports.statistics.inference import share_interval, share_p
from reports.statistics.planning import MAX_SEEDS, fewest_pairs
from reports.statistics.summary import ArmResult
from reports.tables.wording import counted


def collapses(rule: Collapses, evidence: Evidence) -> Finding:
    """An arm collapses, or stays alive, in most seeds."""
    verb = "stay alive" if rule.never else "collapse"
    finding = partial(Finding, measure=f"share of seeds that {verb}")
    named = [name for name in (rule.arm, rule.than, rule.rank_of) if name is not None]
    arms = {name: evidence.result.arm(name) for name in named}
    if lacking := [name for name, arm in arms.items() if arm is None]:
        return finding("undecided", reason=f"the study has no arm {lacking[0]}.")
    arm = evidence.arm(rule.arm)
    stopped, tests = _stopped(arm), _tests(rule, evidence, arm)
    # A seed that the reference's rule stopped is dead whatever else is known of it.
    judged = [
        seed
        for seed, is_dead in stopped.items()
        if is_dead or all(seed in test for test in tests.values())
    ]
    n = len(judged)
    if n == 0:
        return finding("undecided", reason=f"{rule.arm} has no finished trial.")
    tests = {"by the reference's rule": stopped, **tests}
    dead = {seed for seed in judged if any(test.get(seed) for test in tests.values())}
    as_claimed = n - len(dead) if rule.never else len(dead)
    share, p = as_claimed / n, share_p(as_claimed, n)
    clear = evidence.is_clear(p)
    outcome: Outcome = "supported" if share > 0.5 else "contradicted"
    counts = "; ".join(
        f"{name} {sum(test.get(seed, False) for seed in judged)}"
        for name, test in tests.items()
    )
    lacking_seeds = len(arm.seeds) - n
    fewest = fewest_pairs(alpha=evidence.alpha)
    return finding(
        outcome if clear else "undecided",
        reason=(
            f"{rule.arm} collapsed in {len(dead)} of {counted(n, 'seed')}"
            + f" ({counts})" * (len(tests) > 1)
            + "; exact binomial test against one half."
            + (f" {fewest} seeds are the fewest that can show it." * (n < fewest))
            + f" Left out: {counted(lacking_seeds, 'seed')} without a result."
            * (lacking_seeds > 0)
        ),
        effect=share,
        interval=share_interval(as_claimed, n, evidence.confidence),
        n=n,
        p=p,
        seeds_needed=None
        if clear or not evidence.plans_ahead
        else _share_seeds(share, n, evidence),
        is_share=True,
    )


def _stopped(arm: ArmResult) -> dict[int, bool]:
    """By seed, whether the reference's rule called it dead."""
    return {
        seed.seed: seed.status == "collapsed"
        for seed in arm.seeds
        if seed.status in ("collapsed", "finished")
    }


def _tests(
    rule: Collapses, evidence: Evidence, arm: ArmResult
) -> dict[str, Mapping[int, bool]]:
    """By name, and by the seeds that a test can judge, whether it calls them dead."""
    tests: dict[str, Mapping[int, bool]] = {}
    sign = evidence.result.sign
    if rule.than is not None:
        other = evidence.arm(rule.than).values
        tests[f"worse than {rule.than}"] = {
            seed: sign * value < sign * other[seed]
            for seed, value in arm.values.items()
            if seed in other
        }
    if rule.rank_of is not None:
        ranks, whole = arm.ranks, evidence.arm(rule.rank_of).ranks
        tests[f"RankMe below {rule.rank_share:.3g} of that of {rule.rank_of}"] = {
            seed: rank < rule.rank_share * whole[seed]
            for seed, rank in ranks.items()
            if seed in whole
        }
    return tests


def _share_seeds(share: float, n: int, evidence: Evidence) -> SeedsNeeded:
    if share == 0.5:
        return NOT_REACHABLE
    for more in range(max(n + 1, fewest_pairs(alpha=evidence.alpha)), MAX_SEEDS):
        if evidence.is_clear(share_p(round(share * more), more)):
            return more
    return NOT_REACHABLE
