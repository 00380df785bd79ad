"""When a restart is not counted; with real nodes: test_cluster_faults.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from sweeps.ray import node_losses
from sweeps.ray.compat import grant_restart
from sweeps.ray.node_losses import MAX_NODE_LOSSES, NodeLosses


def losses_of(num_dead: Callable[[], int]) -> NodeLosses:
    return NodeLosses(num_dead, partial(grant_restart, say=pytest.fail))


@dataclass
class Trial:
    """What of Tune's trial matters."""

    trial_id: str
    max_failures: int = 2


def test_only_trials_that_failed_while_a_node_was_lost_get_a_restart_back() -> None:
    dead = [1]
    losses = losses_of(lambda: dead[0])
    moved, crashed = Trial("a"), Trial("b")
    losses.look()
    losses.trial_failed(moved)
    losses.look()
    assert moved.max_failures == 2  # the node's death is not known yet
    dead[0] = 2
    losses.look()
    losses.trial_failed(crashed)
    losses.look()
    assert (moved.max_failures, crashed.max_failures) == (3, 2)


def test_a_death_long_after_the_failure_is_another_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_losses, "OPEN_SECONDS", 0.0)
    dead = [0]
    losses = losses_of(lambda: dead[0])
    trial = Trial("a")
    losses.trial_failed(trial)
    losses.look()
    dead[0] = 1
    losses.look()
    assert trial.max_failures == 2


def test_a_trial_that_takes_every_node_with_it_is_given_up() -> None:
    dead = [0]
    losses = losses_of(lambda: dead[0])
    trial = Trial("a")
    for _ in range(MAX_NODE_LOSSES + 5):
        losses.trial_failed(trial)
        dead[0] += 1
        losses.look()
    assert trial.max_failures == 2 + MAX_NODE_LOSSES
