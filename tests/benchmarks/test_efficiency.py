import pytest

from ablations.metrics import METRICS
from benchmarks.efficiency import (
    COSTS,
    FIRST,
    SECOND,
    UNTRAINED,
    Outcome,
    cost_of,
    curves,
    factor,
    main,
    table,
)

UP = [(0.0, 50.0), (10.0, 70.0), (20.0, 80.0)]


@pytest.mark.parametrize(
    ("score", "cost"), [(70.0, 10.0), (60.0, 5.0), (75.0, 15.0), (40.0, 0.0)]
)
def test_the_cost_of_a_score_is_interpolated(score, cost):
    assert cost_of(score, UP, higher_is_better=True) == cost
    down = [(c, -s) for c, s in UP]
    assert cost_of(-score, down, higher_is_better=False) == cost


def test_a_score_that_is_never_reached_has_no_cost():
    assert cost_of(81.0, UP, higher_is_better=True) is None


def test_the_first_time_a_curve_reaches_a_score_counts():
    curve = [(0.0, 50.0), (1.0, 90.0), (2.0, 60.0), (3.0, 95.0)]
    assert cost_of(90.0, curve, higher_is_better=True) == 1.0


def test_the_factor_is_at_the_first_ones_last_score():
    cheaper = [(0.0, 50.0), (4.0, 80.0), (8.0, 85.0)]
    assert factor(UP, cheaper, higher_is_better=True) == "5.00 at 80.00"


def test_a_factor_below_is_given_at_the_second_ones_own_score():
    worse = [(0.0, 50.0), (5.0, 70.0)]
    said = factor(UP, worse, higher_is_better=True)
    assert said == "80.00 not reached; 2.00 at 70.00"


def outcome(arm, length, score, cost):
    scores = {"linear_accuracy": score}
    return Outcome(arm, length, round(100 * length), scores, dict.fromkeys(COSTS, cost))


def test_seeds_are_averaged_and_the_untrained_encoder_costs_nothing():
    outcomes = [
        outcome(UNTRAINED, 0.0, 50.0, 0.0),
        outcome(FIRST, 1.0, 70.0, 10.0),
        outcome(FIRST, 1.0, 72.0, 12.0),
        outcome(SECOND, 1.0, 71.0, 4.0),
    ]
    found = curves(outcomes, "operations", "linear_accuracy")
    assert found == {
        FIRST: [(0.0, 50.0), (11.0, 71.0)],
        SECOND: [(0.0, 50.0), (4.0, 71.0)],
    }
    text = table(outcomes, METRICS["vision"]["linear_accuracy"])
    assert "| data2vec | 100 | 11 | 11.0 | 11.0 | 71.00 (70.00, 72.00) |" in text
    assert "- times cheaper at equal score, operations: 2.75 at 71.00" in text


def test_it_trains_both_and_prints_the_table(capsys):
    sizes = [
        *("--set", "training.num_steps=4", "--set", "vision.depth=2"),
        *("--set", "vision.width=16", "--set", "target.top_k=2"),
        *("--set", "evaluation.num_label_draws=1"),
        *("--set", "evaluation.l2_grid=[0.01]"),
    ]
    asked = ["--seeds", "1", "--lengths", "0.5", "1"]
    asked += ["--metrics", "linear_accuracy", "knn_accuracy"]
    main(["--scale", "smoke", *asked, *sizes])
    said = capsys.readouterr().out
    for row in ("data2vec | 2", "data2vec | 4", "data2vec 2.0 | 4", "untrained | 0"):
        assert said.count(f"| {row} | ") == 2
    assert said.count("times cheaper at equal score") == 2 * len(COSTS)
    assert "k-NN accuracy (%)" in said
