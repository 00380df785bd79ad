import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.training.schedules import (
    cosine_tau,
    learning_rate,
    linear_tau,
    resolve_duration,
    tau_of_horizon,
)


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


@given(step=st.integers(1, 300), start=st.floats(0, 1), num_steps=st.integers(1, 300))
def test_a_cosine_tau_to_one_over_the_whole_run_is_byols(step, start, num_steps):
    step = min(step, num_steps)
    ours = cosine_tau(step, start=start, end=1.0, anneal_steps=num_steps)
    byol = 1 - (1 - start) * (math.cos(math.pi * step / num_steps) + 1) / 2
    assert ours == pytest.approx(byol)


def test_a_horizon_keeps_its_meaning_at_another_length():
    assert tau_of_horizon(1 / 600, 600) == tau_of_horizon(0.0, 600) == 0.0
    assert tau_of_horizon(0.01, 10_000) == pytest.approx(0.99)
    # Half of a teacher's initial weights are gone after ln 2 of a horizon.
    for num_steps in (1_000, 10_000):
        tau = tau_of_horizon(0.1, num_steps)
        assert tau ** (0.1 * num_steps * math.log(2)) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("tau", [linear_tau, cosine_tau])
@given(
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    anneal=st.integers(0, 50),
    data=st.data(),
)
def test_tau_moves_one_way_from_start_to_end_and_stays(tau, start, end, anneal, data):
    step = data.draw(st.integers(1, 60))
    now, later = (
        tau(t, start=start, end=end, anneal_steps=anneal) for t in (step, step + 1)
    )
    assert min(start, end) - 1e-12 <= now <= max(start, end) + 1e-12
    assert abs(end - later) <= abs(end - now) + 1e-12
    if step >= anneal:
        assert now == end


def test_a_cosine_tau_is_slow_at_both_ends_and_half_way_in_the_middle():
    tau = [cosine_tau(t, start=0.2, end=0.8, anneal_steps=4) for t in range(6)]
    quarter = 0.6 * (1 - math.cos(math.pi / 4)) / 2
    expected = [0.2, 0.2 + quarter, 0.5, 0.8 - quarter, 0.8, 0.8]
    assert tau == pytest.approx(expected)


def fairseq_tri_stage(t, *, peak, final_scale, warmup, hold, decay):
    """``tri_stage_lr_scheduler.py`` 152-175 with ``init_lr_scale`` 0."""
    if t < warmup:
        return peak * t / warmup
    if t < warmup + hold:
        return peak
    decay_factor = -math.log(final_scale) / decay
    return peak * math.exp(-decay_factor * (t - warmup - hold))


@pytest.mark.parametrize("shares", [(0.03, 0.9, 0.07), (0.05, 0.8, 0.15)])
def test_tri_stage_is_fairseqs(shares):
    warmup, hold, decay = (round(share * 400) for share in shares)
    for step in range(1, 401):
        ours = learning_rate(
            step,
            peak=5e-4,
            final=5e-6,
            warmup_steps=warmup,
            hold_steps=hold,
            num_steps=400,
            decay="tri_stage",
        )
        expected = fairseq_tri_stage(
            step, peak=5e-4, final_scale=0.01, warmup=warmup, hold=hold, decay=decay
        )
        assert ours == pytest.approx(expected, rel=1e-9)


def test_tri_stage_shrinks_by_one_factor_per_update_and_ends_at_the_final_rate():
    rates = [rate(t, "tri_stage", hold_steps=80, num_steps=110) for t in range(1, 111)]
    assert rates[9:90] == [2.0] * 81
    factors = [b / a for a, b in zip(rates[89:], rates[90:], strict=False)]
    assert factors == pytest.approx([(0.5 / 2.0) ** (1 / 20)] * 20)
    assert rates[-1] == pytest.approx(0.5)


def test_a_hold_to_the_end_leaves_no_decay():
    assert rate(110, "tri_stage", hold_steps=100) == 2.0


def rate(step, decay="cosine", warmup_steps=10, num_steps=110, hold_steps=0):
    return learning_rate(
        step,
        peak=2.0,
        final=0.5,
        warmup_steps=warmup_steps,
        num_steps=num_steps,
        decay=decay,
        hold_steps=hold_steps,
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
