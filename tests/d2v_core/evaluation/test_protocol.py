import numpy as np
import pytest

from d2v_core.config.training import EvaluationConfig
from d2v_core.evaluation.labels import balanced, label_draws
from d2v_core.evaluation.probe import Features
from d2v_core.evaluation.protocol import evaluate_features

GRID = [1e-3, 1e-1, 10.0]


def noisy(num_samples, seed, spread=1.5):
    generator = np.random.default_rng(seed)
    labels = np.arange(num_samples) % 3
    centres = np.random.default_rng(99).normal(size=(3, 6))
    features = centres[labels] + spread * generator.normal(size=(num_samples, 6))
    return Features(features.astype(np.float32), labels)


TRAIN, VALID, TEST = noisy(150, 0), noisy(60, 1), noisy(90, 2)


def evaluated(train=TRAIN, test=TEST, seed=0, **changes):
    config = EvaluationConfig.model_validate({"l2_grid": GRID, **changes})
    return evaluate_features(train, VALID, test, config, seed=seed)


def test_the_test_labels_do_not_change_what_is_chosen():
    first = evaluated()
    second = evaluated(test=Features(TEST.features, np.roll(TEST.labels, 1)))
    name = "eval/linear_validation_accuracy"
    assert first.choices == second.choices
    assert first.metrics[name] == second.metrics[name]
    assert (
        first.metrics["eval/linear_accuracy"] != second.metrics["eval/linear_accuracy"]
    )


def test_without_draws_there_is_one_score():
    result = evaluated()
    assert set(result.metrics) == {
        "eval/linear_accuracy",
        "eval/knn_accuracy",
        "eval/linear_validation_accuracy",
    }
    assert set(result.choices) == {"evaluation.l2"}
    assert result.draws == {}


def test_scores_are_means_over_draws_with_all_labels_beside_them():
    result, everything = evaluated(num_labels=12, num_label_draws=5), evaluated()
    for kind in ("linear", "knn"):
        name = f"eval/{kind}_accuracy"
        each = result.draws[name]
        assert len(each) == 5
        assert result.metrics[name] == pytest.approx(np.mean(each))
        sd = result.metrics[f"{name}_draw_sd"]
        assert sd == pytest.approx(np.std(each, ddof=1))
        assert sd > 0
        whole = result.metrics[f"{name}_all_labels"]
        assert whole == pytest.approx(everything.metrics[name])
    chosen = result.choices["evaluation.l2_all_labels"]
    assert chosen == everything.choices["evaluation.l2"]


def test_a_draw_is_what_fitting_on_it_gives():
    result = evaluated(num_labels=12, num_label_draws=3, seed=4)
    config = EvaluationConfig.model_validate({"num_labels": 12, "num_label_draws": 3})
    draws = label_draws(balanced(TRAIN.labels), config, seed=4)
    for r, draw in enumerate(draws):
        alone = evaluated(train=TRAIN.subset(draw))
        for name, each in result.draws.items():
            assert each[r] == pytest.approx(alone.metrics[name])


def test_the_first_of_several_draws_is_the_only_one_of_one():
    one, five = evaluated(num_labels=12), evaluated(num_labels=12, num_label_draws=5)
    name = "eval/linear_accuracy"
    assert one.metrics[name] == pytest.approx(five.draws[name][0])
    assert one.draws[name] == (one.metrics[name],)
    assert f"{name}_draw_sd" not in one.metrics


def test_remarks_are_made_once():
    result = evaluated(num_labels=12, num_label_draws=4, l2_grid=[0.01, 100.0])
    assert len(result.notes) == 2
    few, whole = result.notes
    assert few.endswith("lies on the edge of its grid in 4 of 4 draws")
    assert whole.startswith("with all labels, the probe's L2 ")
