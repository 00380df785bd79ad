"""What the arms of a study are called, before the encoder's depth is known."""

from __future__ import annotations

import re
from itertools import product

from ablations.study.fields import StudyFields
from d2v_core.config.parsing import one_of
from d2v_core.errors import Problem


class ArmNames:
    """The arms of a study in one modality.

    On an axis of fractions of the depth any number of layers may turn out to be an arm
    (``K=3``), and ``K=all`` is the whole depth.

    Attributes:
        own: Names of the arms; of an axis that scales with depth, its ends.
        all: The reference arms too.
    """

    def __init__(self, study: StudyFields, modality: str) -> None:
        axes = study.all_axes
        if axes:
            self.own = [", ".join(n) for n in product(*(axis.names() for axis in axes))]
        else:
            self.own = [arm.name for arm in study.arms if arm.exists_for(modality)]
        self.all = [*self.own, *study.references(modality)]
        self._modality = modality if len(study.metric) > 1 else ""
        pattern = ", ".join(f"(?:{axis.name_pattern()})" for axis in axes)
        self._pattern = re.compile(pattern) if axes else None

    def __contains__(self, name: str) -> bool:
        if name in self.all:
            return True
        return self._pattern is not None and bool(self._pattern.fullmatch(name))

    def problem(self, path: str, name: str) -> Problem | None:
        """The refusal of a name that no arm has."""
        if name in self:
            return None
        place = f" (arms for {self._modality})" if self._modality else ""
        return Problem(path, f"{one_of(self.all, name)}{place}")
