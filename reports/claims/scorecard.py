"""All claims of a store beside each other: ``d2v report --all`` ends with it.

The paper's claims are those of the shipped studies that reproduce a table of it; the
ones that no run of the store tests stand apart as not run yet, and claims of other
studies, users' own and ours, are counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ablations.library import load_study, study_names
from ablations.record import Manifest
from ablations.study.claims import Claim
from ablations.study.schema import Study
from reports.claims.view import COLOURS, JudgedClaim
from reports.store.foreign import Location
from reports.tables.wording import counted
from reports.text import one_line


@dataclass(frozen=True)
class Fault:
    """Why a study of the store has no report.

    Attributes:
        place: Study, modality, scale.
        message: Run, field, and what is wrong with it.
        is_ours: Whether the program is at fault, not what the store holds.
    """

    place: Location
    message: str
    is_ours: bool = False

    def __str__(self) -> str:
        study, modality, scale = self.place
        return one_line(f"study {study} ({modality}, {scale}): {self.message}")


@dataclass(frozen=True)
class UnrunClaims:
    """Claims of the paper's study in a modality that no run of the store has.

    Attributes:
        study: Its name.
        modality: The modality.
        claims: Never empty.
    """

    study: str
    modality: str
    claims: tuple[Claim, ...]

    @property
    def command(self) -> str:
        """Tests them."""
        return f"d2v run {self.study} --modality {self.modality}"

    @property
    def texts(self) -> list[str]:
        """Every sentence with its place in the paper."""
        return [f"{c.says} ({c.where})" if c.where else c.says for c in self.claims]


@dataclass(frozen=True)
class AllClaims:
    """Everything a scorecard shows.

    Attributes:
        judged: In order.
        unrun: The paper's other claims.
        narrowed: To which modality and scale, for people; empty: to none.
        faults: Studies of the store without a report.
    """

    judged: tuple[JudgedClaim, ...]
    unrun: tuple[UnrunClaims, ...] = ()
    narrowed: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def num_unrun(self) -> int:
        """The paper's claims that were not run yet."""
        return sum(len(one.claims) for one in self.unrun)


def unrun_claims(
    runs: Iterable[Manifest],
    modality: str | None = None,
    unread: Collection[tuple[str, str]] = (),
) -> tuple[UnrunClaims, ...]:
    """Claims of the paper's studies that no run tests, whatever its scale.

    Args:
        runs: All of the store.
        modality: Only this one.
        unread: Studies and modalities with a run whose plan cannot be used; what that
            tests is not known.
    """
    tested = {
        (run.study["name"], run.modality, claim["id"])
        for run in runs
        for claim in run.study.get("claims", ())
    }
    unrun = []
    for study in _papers():
        for kind in study.metric:
            claims = study.for_modality(kind).claims
            left = tuple(c for c in claims if (study.name, kind, c.id) not in tested)
            is_known = (study.name, kind) not in unread
            if left and is_known and modality in (None, kind):
                unrun.append(UnrunClaims(study.name, kind, left))
    return tuple(unrun)


def _papers() -> list[Study]:
    """The shipped studies of a paper; another one's claims are our own questions."""
    studies = map(load_study, study_names())
    return [study for study in studies if study.paper is not None]


def tally(claims: AllClaims) -> str:
    """Count the outcomes, the paper's and then those of other studies."""
    papers = {study.name for study in _papers()}
    paper = [one for one in claims.judged if one.study in papers]
    own = [one for one in claims.judged if one.study not in papers]
    judged = counted(len(paper), "judged claim")
    sentences = [f"{judged} of the paper: {_outcomes(paper, claims.num_unrun)}."]
    if own:
        judged = counted(len(own), "judged claim")
        sentences.append(f"{judged} of other studies: {_outcomes(own)}.")
    if claims.faults:
        studies = counted(len(claims.faults), "study run")
        sentences.append(f"{studies} could not be reported, see below.")
    if claims.narrowed:
        sentences.append(f"Only {claims.narrowed}; other runs are left out.")
    return " ".join(sentences)


def _outcomes(judged: Sequence[JudgedClaim], num_unrun: int = 0) -> str:
    counts = Counter[str](one.verdict.verdict for one in judged)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS)
    if empty := sum(not one.verdict.n for one in judged):
        listed += f" ({empty} without seeds to compare)"
    return f"{listed}; {num_unrun} more not run yet" if num_unrun else listed
