"""How much of the teacher is kept at each update: the schedules of tau."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from d2v_core.config.base import Section
from d2v_core.config.bounds import MAX_FACTOR, Duration
from d2v_core.config.own import OwnFunction, OwnSettings, TakesOwn


class LinearTau(Section):
    """tau rises linearly from start to end, then stays (paper section 3.3)."""

    kind: Literal["linear"] = "linear"
    start: float = Field(0.999, ge=0.0, le=1.0)
    """tau at the start of the ramp; update t gets ``end - (end - start) (1 - t/n)``.
    The first update is t = 1, as in fairseq; the vision fork begins at t = 0."""
    end: float = Field(0.9999, ge=0.0, le=1.0)
    """tau once the ramp is over."""
    anneal: Duration = 30_000
    """Length of the ramp: updates (integer) or fraction of the run (float)."""


class CosineTau(Section):
    """tau rises along half a cosine from start to end, then stays (BYOL)."""

    kind: Literal["cosine"] = "cosine"
    start: float = Field(0.996, ge=0.0, le=1.0)
    """tau at the start of the ramp, BYOL's tau_base; update t of a ramp of n updates
    gets ``end - (end - start) (cos(pi t/n) + 1) / 2``."""
    end: float = Field(1.0, ge=0.0, le=1.0)
    """tau once the ramp is over; with 1 and the whole run as ramp this is BYOL's
    ``1 - (1 - start) (cos(pi t/n) + 1) / 2``."""
    anneal: Duration = 1.0
    """Length n of the ramp: updates (integer) or fraction of the run (float)."""


class ConstantTau(Section):
    """A fixed tau for every update; 0 copies the student, 1 freezes the teacher."""

    kind: Literal["constant"] = "constant"
    value: float = Field(0.9998, ge=0.0, le=1.0)
    """Share of the teacher that is kept at each update."""


class HorizonTau(Section):
    """tau by how far back the teacher remembers, so that it fits a run of any length.

    The horizon of a tau is ``1 / (1 - tau)`` updates; it is given as a share of the
    run. The paper's runs end at about 0.01 (vision, text) and 0.025 (speech).
    """

    kind: Literal["horizon"] = "horizon"
    horizon: float = Field(0.03, ge=0.0, le=MAX_FACTOR)
    """At the end of the ramp; tau is ``1 - 1 / (horizon * training.num_steps)``. Less
    than one update is one: tau 0. Above 1 the initial weights are never forgotten."""
    initial_horizon: float | None = Field(None, ge=0.0, le=MAX_FACTOR)
    """At the start of the ramp, along which tau is linear; null: no ramp."""
    anneal: Duration = 0.3
    """Length of the ramp: updates (integer) or fraction of the run (float)."""


class OwnTau(Section):
    """tau by the user's own function of the update."""

    kind: Literal["own"] = "own"
    function: Annotated[OwnFunction, TakesOwn("tau schedule", "settings")]
    """Gives tau of every update: ``own.py:function``."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""


Tau = Annotated[
    LinearTau | CosineTau | ConstantTau | HorizonTau | OwnTau,
    Field(discriminator="kind"),
]
