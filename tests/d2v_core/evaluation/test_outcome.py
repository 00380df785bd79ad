import pytest

from d2v_core.evaluation.outcome import Evaluation, over_draws


def test_a_metric_is_the_mean_of_its_draws_and_their_spread_stands_beside_it():
    result = over_draws({"eval/a_accuracy": [1.0, 3.0], "eval/b_accuracy": [5.0, 5.0]})
    assert result.metrics == pytest.approx(
        {
            "eval/a_accuracy": 2.0,
            "eval/a_accuracy_draw_sd": 2**0.5,
            "eval/b_accuracy": 5.0,
            "eval/b_accuracy_draw_sd": 0.0,
        }
    )
    assert result.draws == {"eval/a_accuracy": (1, 3), "eval/b_accuracy": (5, 5)}


def test_one_draw_has_no_spread():
    assert over_draws({"eval/a_accuracy": [1.0]}).metrics == {"eval/a_accuracy": 1.0}


def test_joined_results_keep_the_draws_of_both():
    joined = over_draws({"eval/a_accuracy": [1.0]}).joined(
        Evaluation({}, {}, draws={"eval/b_accuracy": (2.0,)})
    )
    assert joined.draws == {"eval/a_accuracy": (1.0,), "eval/b_accuracy": (2.0,)}
