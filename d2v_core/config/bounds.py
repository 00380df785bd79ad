"""Largest numbers that settings may have; beyond the largest published run by far.

A slip of the keyboard is refused where it stands, rather than found as a machine
without memory. Every number of the schema names one of these, or a smaller bound of its
own; a test says so.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictFloat, StrictInt

MAX_STEPS = 100_000_000
"""Optimiser updates; the longest published run has 1,000,000."""
MAX_BATCH = 1_048_576
"""Samples per update."""
MAX_SAMPLES = 1_000_000_000
"""Labelled samples, or samples that are made up."""
MAX_WIDTH = 65_536
"""Channels, heads, groups, mel bands, tokens and positions of a network."""
MAX_DEPTH = 512
"""Layers and blocks."""
MAX_SIDE = 8_192
"""Pixels along a side of an image."""
MAX_VOCABULARY = 4_194_304
"""Tokens that are told apart."""
MAX_RATE_HZ = 1_000_000
"""Samples of sound per second."""
MAX_SECONDS = 31_536_000.0
"""A year, of waiting or of sound."""
MAX_FACTOR = 1e6
"""Learning rates, strengths, scales and ratios."""
MAX_LEARNING_RATE = 1e30
"""Far beyond what trains: a study may look at what diverges."""
MAX_PROCESSES = 65_536
"""Threads, workers and GPUs of a trial."""
MAX_ITEMS = 1_000
"""Entries of a list."""
Factor = Annotated[float, Field(ge=0.0, le=MAX_FACTOR)]
"""A rate or strength out of a list of them."""

Duration = (
    Annotated[StrictInt, Field(ge=0, le=MAX_STEPS)]
    | Annotated[StrictFloat, Field(ge=0.0, le=1.0)]
)
"""A number of optimiser updates (integer) or a fraction of the run (float, 0 to 1)."""
