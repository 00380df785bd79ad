"""What is optimised: one file for each objective.

A new objective is a section in :mod:`d2v_core.config.objective`, a file here and a line
in :data:`BUILDERS`; nothing else asks which objective it has.
"""

from __future__ import annotations

from collections.abc import Mapping

from d2v_core.objectives import data2vec, data2vec2, supervised, untrained
from d2v_core.objectives.protocol import Build

BUILDERS: Mapping[str, Build] = {
    "data2vec": data2vec.build,
    "data2vec2": data2vec2.build,
    "supervised": supervised.build,
    "untrained": untrained.build,
}
"""By ``objective.kind``."""
