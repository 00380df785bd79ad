"""Everything that can be said about a study file before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.library import StudyFile, read_study
from ablations.study.arms import ExpandedStudy, Request, expand
from ablations.study.locations import Places
from d2v_core.errors import ConfigError, Problem


@dataclass(frozen=True)
class Size:
    """How large a valid study is in one modality."""

    modality: str
    num_arms: int
    num_seeds: int


def check_study_file(name: str, scale: str) -> list[Size]:
    """Check a study against the recipes of a scale, in all its modalities.

    Encoders are built without memory; no data is read.

    Raises:
        ConfigError: Every mistake, each once, with file, line and column.
    """
    file = read_study(name)
    sizes, problems = [], dict[str, Problem]()
    for modality in file.study.metric:
        try:
            expanded = expand(file.study, Request(modality, scale), file.source)
            _check_buildable(file, expanded)
        except ConfigError as error:
            problems |= {str(problem): problem for problem in error.problems}
            continue
        seeds = {cell.seed for cell in expanded.cells}
        sizes.append(Size(modality, len(expanded.arms), len(seeds)))
    if problems:
        raise ConfigError(problems.values())
    return sizes


def _check_buildable(file: StudyFile, expanded: ExpandedStudy) -> None:
    """Every arm's encoder can be built and has what the arm asks for."""
    from d2v_core.build import check_buildable

    places = Places(file.study, expanded.request.modality, file.source)
    problems = []
    for cell in expanded.cells[: len(expanded.arms)]:
        try:
            check_buildable(cell.trial)
        except ConfigError as error:
            problems += [
                Problem(
                    f"{places.arm(cell.arm.label, (problem.path,))}: {problem.path}",
                    problem.message,
                )
                for problem in error.problems
            ]
    if problems:
        raise ConfigError(problems)
