import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.schedules import learning_rate, linear_tau, resolve_duration


def test_an_integer_duration_is_updates_and_a_float_a_share_of_the_run():
    assert resolve_duration(30_000, 100) == 30_000
    assert resolve_duration(1, 500) == 1
    assert resolve_duration(1.0, 500) == 500
    assert resolve_duration(0.25, 500) == 125
    assert resolve_duration(10 / 800, 500_000) == 6_250
    assert resolve_duration(0, 500) == 0
    assert resolve_duration(0.0, 500) == 0


@given(
    step=st.integers(1, 500),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    anneal=st.integers(0, 400),
)
def test_tau_follows_fairseqs_formula(step, start, end, anneal):
    ours = linear_tau(step, start=start, end=end, anneal_steps=anneal)
    if step >= anneal:
        assert ours == end
    else:
        assert ours == pytest.approx(start + (end - start) * step / anneal)


def test_tau_ends_exactly_where_it_should():
    tau = [linear_tau(t, start=0.0, end=1.0, anneal_steps=4) for t in range(1, 7)]
    assert tau == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def rate(step, decay="cosine", warmup_steps=10, num_steps=110):
    return learning_rate(
        step,
        peak=2.0,
        final=0.5,
        warmup_steps=warmup_steps,
        num_steps=num_steps,
        decay=decay,
    )


def test_the_learning_rate_warms_up_linearly_to_the_peak():
    assert [rate(step) for step in (1, 5, 10)] == pytest.approx([0.2, 1.0, 2.0])


@pytest.mark.parametrize("step", [11, 35, 60, 85, 110])
def test_after_the_warm_up_the_learning_rate_is_half_a_cosine(step):
    share = (step - 10) / 100
    expected = 0.5 + 1.5 * (1 + math.cos(math.pi * share)) / 2
    assert rate(step) == pytest.approx(expected)


def test_linear_decay_reaches_the_middle_halfway_and_constant_stays():
    assert rate(60, "linear") == pytest.approx(1.25)
    assert rate(110, "linear") == pytest.approx(0.5)
    assert rate(110, "constant") == 2.0


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_last_update_has_the_final_learning_rate(decay):
    assert rate(110, decay) == pytest.approx(0.5)
    assert rate(1, decay, warmup_steps=0, num_steps=1) == pytest.approx(0.5)


def test_without_warm_up_the_first_update_is_already_on_the_decay():
    assert rate(1, warmup_steps=0, num_steps=100) == pytest.approx(
        0.5 + 1.5 * (1 + math.cos(math.pi / 100)) / 2
    )


def test_a_warm_up_longer_than_the_run_never_reaches_the_peak():
    assert rate(5, warmup_steps=20, num_steps=5) == pytest.approx(0.5)
