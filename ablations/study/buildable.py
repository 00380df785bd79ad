"""Whether the encoder of every arm can be built and has what the arm asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablations.layers import parse_assignments
from ablations.study.arms import ExpandedStudy
from d2v_core.config import modality_name
from d2v_core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from d2v_core.encoders.encoder import Encoder


def check_arms_buildable(expanded: ExpandedStudy) -> int:
    """Build the encoders without memory; the number of parameters of the first arm's.

    Raises:
        ConfigError: All that cannot be built, each with its place in the study.
    """
    from d2v_core.build import build_on_meta, check_around  # torch: seconds

    encoders: dict[str, Encoder] = {}
    chosen = parse_assignments(expanded.request.assignments)
    problems: dict[str, Problem] = {}
    for cell in expanded.cell_of_each_arm:
        # Arms mostly share an encoder, and building one takes a tenth of a second.
        sizes = getattr(cell.trial, modality_name(cell.trial)).model_dump_json()
        try:
            if sizes not in encoders:
                encoders[sizes] = build_on_meta(cell.trial)
            check_around(cell.trial, encoders[sizes])
        except ConfigError as error:
            for problem in error.problems:
                path, locations = problem.path, expanded.locations
                place = locations.arm(cell.arm.label, (path,))
                if path in chosen and path not in cell.arm.settings:
                    place = "--set"
                elif path in expanded.study.set and path not in cell.arm.settings:
                    place = locations.common((path,))
                placed = Problem(f"{place}: {problem.path}", problem.message)
                problems[str(placed)] = placed
    if problems:
        raise ConfigError(problems.values())
    first = next(iter(encoders.values()))
    return sum(parameter.numel() for parameter in first.parameters())
