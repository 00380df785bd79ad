"""What is optimised: one file for each objective.

A new objective is a section in :mod:`d2v_core.config.objective` (those that data2vec is
compared with: :mod:`d2v_core.config.baselines`), a file here and a line in
:data:`BUILDERS`; nothing else asks which objective it has.
"""

from __future__ import annotations

from collections.abc import Mapping

from d2v_core.objectives import (
    context,
    contrastive,
    data2vec,
    data2vec2,
    jigsaw,
    own,
    pixels,
    rotation,
    supervised,
    tokens,
    untrained,
)
from d2v_core.objectives.protocol import Build

BUILDERS: Mapping[str, Build] = {
    "data2vec": data2vec.build,
    "data2vec2": data2vec2.build,
    "supervised": supervised.build,
    "untrained": untrained.build,
    "tokens": tokens.build,
    "pixels": pixels.build,
    "contrastive": contrastive.build,
    "rotation": rotation.build,
    "context": context.build,
    "jigsaw": jigsaw.build,
    "own": own.build,
}
"""By ``objective.kind``."""
