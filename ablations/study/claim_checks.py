"""The rules of a study's claims: their arms exist wherever they are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ablations.study.arm_names import ArmNames
from ablations.study.claims import Alike, Better, Claim, LikePaper, Trend
from ablations.study.fields import StudyFields
from d2v_core.errors import Problem

LEAST_RANKED = 3
"""Published numbers that a rank correlation needs."""


def check_claims(study: StudyFields, names: Mapping[str, ArmNames]) -> list[Problem]:
    """Every broken rule of the claims, each once.

    Args:
        study: The study.
        names: Its arms by modality.
    """
    problems: dict[str, Problem] = {}
    for i, claim in enumerate(study.claims):
        if claim.id in [other.id for other in study.claims[:i]]:
            path = f"claims.{i}.id"
            problems[path] = Problem(path, f"must be unique, {claim.id!r} stands twice")
        for modality in claim.modalities or study.metric:
            if modality not in names:
                continue  # said elsewhere
            for problem in _check_claim(study, claim, modality, names[modality]):
                path = f"claims.{i}.{problem.path}"
                problems.setdefault(path, Problem(path, problem.message))
    return list(problems.values())


def _check_claim(
    study: StudyFields, claim: Claim, modality: str, names: ArmNames
) -> Iterator[Problem]:
    for path, arm in claim.arms_named():
        if problem := names.problem(path, arm):
            yield problem
    rule = claim.test
    if isinstance(rule, Better) and rule.arm == rule.than:
        yield Problem("test.than", f"must be another arm than arm, got {rule.than!r}")
    if isinstance(rule, Alike | Trend) and rule.arms:
        given = list(rule.arms)
        if len(given) < 2 or len(set(given)) < len(given):
            yield Problem("test.arms", f"must be at least two different, got {given}")
    if isinstance(rule, LikePaper):
        published = study.published.get(modality)
        if published is None or len(published.values) < LEAST_RANKED:
            count = len(published.values) if published else 0
            yield Problem(
                "test.kind",
                f"like_paper needs {LEAST_RANKED} published numbers, {modality} has "
                f"{count}; give them, or name the modalities of the claim",
            )
