"""Everything that can be said about a study file before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.library import read_study
from ablations.study.arms import Request, expand
from ablations.study.buildable import check_arms_buildable
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
            check_arms_buildable(expanded)
        except ConfigError as error:
            problems |= {str(problem): problem for problem in error.problems}
            continue
        seeds = {cell.seed for cell in expanded.cells}
        sizes.append(Size(modality, len(expanded.arms), len(seeds)))
    if problems:
        raise ConfigError(problems.values())
    return sizes
