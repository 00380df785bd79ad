"""A study: one table or figure as data, whole and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from ablations.study.checks import check_study
from ablations.study.fields import NamedArm, StudyFields
from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem


class Study(StudyFields):
    """One table or figure."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if problems := check_study(self):
            raise PydanticCustomError(
                "across_sections",
                "{count} rules are broken",
                {"count": len(problems), "problems": problems},
            )
        return self

    def for_modality(self, modality: str, scale: str | None = None) -> Study:
        """The study as one modality has it: its arms, baseline, numbers and claims.

        Args:
            modality: One of the study's.
            scale: Scale whose settings count too; None: no scale in particular.

        Raises:
            ConfigError: The study does not have the modality.
        """
        if modality not in self.metric:
            raise ConfigError([Problem("--modality", one_of(self.metric, modality))])
        arms = [
            NamedArm(name=arm.name, set=arm.settings(modality, scale))
            for arm in self.arms
            if arm.exists_for(modality)
        ]
        claims = [
            claim.model_copy(update={"modalities": ()})
            for claim in self.claims
            if not claim.modalities or modality in claim.modalities
        ]
        paper, recipe = self.paper, f"{modality}-{scale}"
        if paper is not None and isinstance(paper.where, dict):
            paper = paper.model_copy(update={"where": paper.where[modality]})
        published = self.published
        own = {
            "arms": tuple(arms),
            "reference_arms": self.references(modality),
            "baseline": _chosen(self.baseline, modality),
            "metric": {modality: self.metric[modality]},
            "like": "",
            "set": self.settings(modality, scale),
            "set_for": {},
            "set_at": {},
            "caption": {r: s for r, s in self.caption.items() if r == recipe},
            "published": {m: published[m] for m in published if m == modality},
            "claims": tuple(claims),
            "paper": paper,
        }
        # Not validated again: each part was, with the modality it is for.
        return self.model_copy(update=own)

    def with_names(self, names: Mapping[str, str]) -> Study:
        """The study with other names of arms in baseline and claims.

        Args:
            names: ``{"K=all": "K=4"}``; arms that are missing keep their name.

        Raises:
            ConfigError: Arms that a claim compares turn out to be one arm.
        """
        baseline = self.baseline
        if isinstance(baseline, str):
            baseline = names.get(baseline, baseline)
        claims = tuple(claim.with_names(names) for claim in self.claims)
        named = self.model_copy(update={"baseline": baseline, "claims": claims})
        if problems := check_study(named):
            raise ConfigError(problems)
        return named


def _chosen(value: str | dict[str, str] | None, modality: str) -> str | None:
    return value.get(modality) if isinstance(value, dict) else value
