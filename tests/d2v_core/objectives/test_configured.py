"""The teacher's decay as the settings say it."""

import pytest

from d2v_core.objectives.configured import build_tau
from tests.d2v_core.small import small_trial


def with_tau(num_steps, **tau):
    return small_trial(
        {"teacher": {"tau": tau}, "training": {"num_steps": num_steps}},
    )


@pytest.mark.parametrize("num_steps", [200, 2_000])
def test_a_horizon_is_a_share_of_the_run(num_steps):
    tau = build_tau(with_tau(num_steps, kind="horizon", horizon=0.05))
    assert {round(1 / (1 - tau(t))) for t in (1, num_steps)} == {0.05 * num_steps}


def test_a_horizon_grows_along_a_linear_tau():
    tau = build_tau(
        with_tau(1_000, kind="horizon", initial_horizon=0.01, horizon=0.1, anneal=0.5)
    )
    assert [tau(t) for t in (250, 500, 900)] == pytest.approx([0.945, 0.99, 0.99])


def test_a_horizon_of_less_than_one_update_is_one():
    tau = build_tau(with_tau(20, kind="horizon", horizon=0.03))
    assert tau(1) == tau(20) == 0.0
