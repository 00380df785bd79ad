"""Which arms need more seeds, and how likely these decide something.

Both are functions of what the store has, so that an interrupted run goes on where it
was, whoever types the command again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ablations.record import Manifest
from ablations.study.claims import Claim, Collapses
from reports.claims.apply import arms_needed
from reports.claims.evidence import Evidence
from reports.claims.looks import PENDING, LookedAt, look_at, planned_seeds
from reports.claims.verdicts import claims_of
from reports.statistics.inference import Floats
from reports.statistics.summary import (
    RESAMPLING_SEED,
    ArmResult,
    SeedResult,
    StudyResult,
)

FEWEST_MEASURED = 3
"""Seeds below which a spread is not worth a simulation."""
NUM_SIMULATED = 200
"""Studies that a chance is the share of: its error is at most 0.035."""


def seeds_by_arm(result: StudyResult, manifest: Manifest) -> dict[str, int]:
    """Seeds that each arm should have, by what the trials that ended say.

    All arms get the first look; then those that a claim needs which is still undecided
    get its next one, and the baseline as many as any of them. A claim that no seed can
    decide (see :attr:`reports.claims.looks.LookedAt.is_hopeless`) gets none.

    Args:
        result: The study with the seeds of the last look in every arm.
        manifest: With looks.
    """
    return _counts(result, manifest, _next_look)


def seeds_at_most(result: StudyResult, manifest: Manifest) -> dict[str, int]:
    """The same if no claim is decided that is not yet."""
    return _counts(result, manifest, lambda at, looks: looks[-1])


def _counts(
    result: StudyResult,
    manifest: Manifest,
    wanted: Callable[[LookedAt, Sequence[int]], int],
) -> dict[str, int]:
    looks, evidence = manifest.looks, Evidence(result, manifest)
    counts = {arm.label: looks[0] for arm in result.arms}
    for claim in claims_of(manifest):
        looked_at = look_at(claim, result, manifest, plans_ahead=False)
        is_over = looked_at.is_decided or looked_at.is_hopeless
        seeds = looked_at.look if is_over else wanted(looked_at, looks)
        for label in arms_needed(claim.test, evidence):
            counts[label] = max(counts[label], seeds)
    if result.baseline is not None:
        counts[result.baseline] = max(counts.values())
    return counts


def _next_look(looked_at: LookedAt, looks: Sequence[int]) -> int:
    return next((look for look in looks if look > looked_at.look), looks[-1])


def chances(
    result: StudyResult, manifest: Manifest, num_simulated: int = NUM_SIMULATED
) -> dict[str, tuple[float, ...] | None]:
    """By claim, the chance that each look, or one before it, decides it.

    If effect and spread are what was measured, which few seeds do not know well: seeds
    that ended stay as they are, the others are drawn and judged like real ones. Scores
    are drawn from the normal distribution with the means and covariances of the arms
    over the seeds they share; for a claim about collapses, measured seeds are drawn
    again. None where fewer than three seeds were measured, or no seed can decide it.
    """
    return {
        claim.id: _chances(claim, result, manifest, num_simulated)
        for claim in claims_of(manifest)
    }


def _chances(
    claim: Claim, result: StudyResult, manifest: Manifest, num_simulated: int
) -> tuple[float, ...] | None:
    now = look_at(claim, result, manifest, plans_ahead=False)
    if now.is_hopeless:
        return None
    if now.is_decided or now.look == manifest.looks[-1]:
        return tuple(_decided_by(now, manifest).tolist())
    needed = arms_needed(claim.test, Evidence(result, manifest))
    arms = [arm for arm in result.arms if arm.label in needed]
    measured = _measured(arms, needs_value=not isinstance(claim.test, Collapses))
    if len(measured) < FEWEST_MEASURED:
        return None
    generator = np.random.default_rng(RESAMPLING_SEED)
    decided = np.zeros(len(manifest.looks))
    for _ in range(num_simulated):
        if isinstance(claim.test, Collapses):
            drawn = _drawn_again(arms, measured, result, generator)
        else:
            drawn = _drawn_normal(arms, measured, result, generator)
        then = look_at(claim, drawn, manifest, plans_ahead=False)
        decided += _decided_by(then, manifest)
    return tuple((decided / num_simulated).tolist())


def _decided_by(looked_at: LookedAt, manifest: Manifest) -> Floats:
    """One for the look that decided and those after it, else zero."""
    decided = [looked_at.is_decided and n >= looked_at.look for n in manifest.looks]
    return np.array(decided, dtype=float)


def _measured(arms: Sequence[ArmResult], *, needs_value: bool) -> list[int]:
    """The seeds in which all of these arms have ended, and have a score if need be."""
    ended = [
        {s.seed for s in arm.seeds if s.status not in PENDING} & arm.values.keys()
        if needs_value
        else {s.seed for s in arm.seeds if s.status not in PENDING}
        for arm in arms
    ]
    return sorted(set.intersection(*ended)) if ended else []


def _drawn_normal(
    arms: Sequence[ArmResult],
    measured: Sequence[int],
    result: StudyResult,
    generator: np.random.Generator,
) -> StudyResult:
    values = np.array([[arm.values[seed] for arm in arms] for seed in measured])
    means, seeds = values.mean(axis=0), planned_seeds(result)
    # Sums of the residuals with such weights have their covariance, of any rank.
    weights = generator.standard_normal((len(seeds), len(measured)))
    scores = means + weights @ (values - means) / np.sqrt(len(measured) - 1.0)
    drawn = {
        arm.label: {
            seed: SeedResult(seed, "finished", "", float(score))
            for seed, score in zip(seeds, scores[:, place], strict=True)
        }
        for place, arm in enumerate(arms)
    }
    return _completed(result, drawn)


def _drawn_again(
    arms: Sequence[ArmResult],
    measured: Sequence[int],
    result: StudyResult,
    generator: np.random.Generator,
) -> StudyResult:
    seeds = planned_seeds(result)
    chosen = generator.choice(np.array(measured), len(seeds)).tolist()
    drawn = {}
    for arm in arms:
        known = {one.seed: one for one in arm.seeds}
        drawn[arm.label] = {
            seed: replace(known[model], seed=seed)
            for seed, model in zip(seeds, chosen, strict=True)
        }
    return _completed(result, drawn)


def _completed(
    result: StudyResult, drawn: Mapping[str, Mapping[int, SeedResult]]
) -> StudyResult:
    """The study with drawn seeds where none has ended yet."""
    arms = []
    for arm in result.arms:
        ended = {s.seed: s for s in arm.seeds if s.status not in PENDING}
        seeds = {**drawn.get(arm.label, {}), **ended}
        arms.append(replace(arm, seeds=tuple(seeds[seed] for seed in sorted(seeds))))
    return replace(result, arms=tuple(arms))
