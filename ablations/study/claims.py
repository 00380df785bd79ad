"""A claim: a sentence of the paper as a testable statement over the arms of a study.

A rule names arms; :mod:`reports` measures the effect on seeds both arms have and gives
the verdict: *supported*, *contradicted* or *undecided*. Effects are always counted so
that positive is better, whatever the direction of the metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from d2v_core.config import Section
from d2v_core.config.bounds import MAX_FACTOR, MAX_ITEMS

SINGLE_ARMS = ("arm", "than", "rank_of")
"""Fields of rules that name one arm."""


class Better(Section):
    """One arm, or at least one of several, beats another.

    Supported when the interval of the paired difference lies above ``by`` and the exact
    sign-flip p is below 0.05, both corrected for the number of arms tried; contradicted
    when all arms tried lie below in this sense. Seeds in which ``than`` collapsed count
    with the value they reached.
    """

    kind: Literal["better"] = "better"
    arm: str | None = None
    """The arm that is better; null: any other arm that is not a reference."""
    than: str
    """The arm that is worse."""
    by: float = Field(0.0, ge=-MAX_FACTOR, le=MAX_FACTOR)
    """Least difference in the metric's unit."""


class NearlyBest(Section):
    """An arm is at most a little worse than the best of the others.

    Supported when its paired difference to every other arm lies above ``-within`` by
    interval and by exact sign-flip p; contradicted when it lies below for one of them.
    """

    kind: Literal["nearly_best"] = "nearly_best"
    arm: str
    """The arm."""
    within: float = Field(gt=0.0, le=MAX_FACTOR)
    """Largest difference that counts as a little, in the metric's unit."""


class Alike(Section):
    """The arms hardly differ: every pair is equivalent within a margin.

    Supported when of every pair the 90 % interval lies inside the margin and the exact
    one-sided sign-flip p against both ends are below 0.05, which takes 5 seeds;
    contradicted when a pair lies outside as for :class:`Better`.
    """

    kind: Literal["alike"] = "alike"
    arms: tuple[str, ...] = Field((), strict=False, max_length=MAX_ITEMS)
    """The arms; empty: all that are not references."""
    within: float = Field(gt=0.0, le=MAX_FACTOR)
    """Largest difference that counts as alike, in the metric's unit."""


class Trend(Section):
    """The metric gets better (or worse) along the arms, in their order in the study.

    Supported when the interval of Kendall's tau-b between order and value (seeds
    resampled together) lies above 0, or below 0 for ``falls``, and is clear of chance:
    p below 0.05 when arms are permuted within seeds. Needs at least 3 arms.
    """

    kind: Literal["trend"] = "trend"
    direction: Literal["rises", "falls"] = "rises"
    """``rises``: later arms are better."""
    arms: tuple[str, ...] = Field((), strict=False, max_length=MAX_ITEMS)
    """The arms in order; empty: all that are not references."""


class LikePaper(Section):
    """Our arms rank like the paper's numbers: Kendall's tau-b, judged as a trend.

    Numbers of the paper within twice their reading error of each other are tied.
    """

    kind: Literal["like_paper"] = "like_paper"


class Collapses(Section):
    """An arm collapses (or, with ``never``, stays alive) in most seeds.

    A seed counts as collapsed by the reference's rule on the spread of targets and
    predictions; or, where ``than`` or ``rank_of`` name an arm to compare with, by its
    score or by its RankMe. Normalised targets can never lose their spread, so the
    reference's rule alone cannot see them collapse. Supported when more than half of
    its seeds did and an exact binomial test against one half is significant;
    contradicted when fewer did and it is.
    """

    kind: Literal["collapses"] = "collapses"
    arm: str
    """The arm."""
    never: bool = False
    """The claim is that it stays alive."""
    than: str | None = None
    """Collapsed is also a seed whose score is worse than this arm's (untrained) in the
    same seed; null: the score is not looked at."""
    rank_of: str | None = None
    """Collapsed is also a seed whose RankMe is below ``rank_share`` times that of this
    arm (the recipe) in the same seed; null: the rank is not looked at."""
    rank_share: float = Field(0.5, gt=0.0, lt=1.0)
    """Share of the rank that is left of features which count as alive."""


Rule = Annotated[
    Better | NearlyBest | Alike | Trend | LikePaper | Collapses,
    Field(discriminator="kind"),
]


class Claim(Section):
    """One sentence of the paper and the rule that tests it."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=100)
    """Unique within the study."""
    says: str = Field(min_length=1, max_length=2_000)
    """The sentence, in our words."""
    where: str = Field("", max_length=2_000)
    """Section, table or figure that says so."""
    modalities: tuple[str, ...] = Field((), strict=False, max_length=MAX_ITEMS)
    """Where the paper claims it; empty: in every modality of the study."""
    test: Rule
    """When it counts as supported."""

    def arms_named(self) -> list[tuple[str, str]]:
        """The arms its rule names, each with its place: ``("test.than", "K=1")``."""
        rule = self.test
        single = [(n, getattr(rule, n, None)) for n in SINGLE_ARMS]
        several = getattr(rule, "arms", ())
        return [
            *((f"test.{name}", arm) for name, arm in single if arm is not None),
            *((f"test.arms.{i}", arm) for i, arm in enumerate(several)),
        ]

    def with_names(self, names: Mapping[str, str]) -> Claim:
        """The claim with other names of arms; arms that are missing keep theirs."""
        renamed: dict[str, str | tuple[str, ...]] = {}
        for name in SINGLE_ARMS:
            if (arm := getattr(self.test, name, None)) is not None:
                renamed[name] = names.get(arm, arm)
        if hasattr(self.test, "arms"):
            renamed["arms"] = tuple(names.get(arm, arm) for arm in self.test.arms)
        test = self.test.model_copy(update=renamed)
        return self.model_copy(update={"test": test})
