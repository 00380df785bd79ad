import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.evaluation.text.glue_metrics import (
    f1,
    matthews,
    pearson,
    score_of,
    spearman,
    task_metrics,
)

pairs = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40
).map(lambda rows: tuple(np.array(rows).T))
numbers = st.lists(
    st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=3, max_size=20
).map(lambda rows: tuple(np.array(rows, dtype=float).T))


@given(pairs)
def test_f1_and_matthews_are_those_of_the_confusion_matrix(pair):
    labels, found = pair
    tp, tn = (labels & found).sum(), ((1 - labels) & (1 - found)).sum()
    fp, fn = ((1 - labels) & found).sum(), (labels & (1 - found)).sum()
    expected = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
    assert f1(labels, found) == pytest.approx(expected)
    below = float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    expected = (tp * tn - fp * fn) / below if below else 0.0
    assert matthews(labels, found) == pytest.approx(expected)


def by_hand(a, b):
    a, b = a - a.mean(), b - b.mean()
    below = np.sqrt((a**2).sum() * (b**2).sum())
    return (a * b).sum() / below if below else 0.0


def ranks(values):
    order = np.sort(values)
    low = np.searchsorted(order, values)
    high = np.searchsorted(order, values, side="right")
    return (low + high) / 2


@given(numbers)
def test_correlations_are_those_of_values_and_of_ranks(pair):
    labels, found = pair
    assert pearson(labels, found) == pytest.approx(by_hand(labels, found), abs=1e-9)
    expected = by_hand(ranks(labels), ranks(found))
    assert spearman(labels, found) == pytest.approx(expected, abs=1e-9)


def test_constant_predictions_score_zero_without_a_warning():
    labels, same = np.array([0.0, 1.0, 2.0]), np.ones(3)
    assert pearson(labels, same) == spearman(labels, same) == 0.0
    assert matthews(np.array([0, 1, 1]), np.array([1, 1, 1])) == 0.0
    assert f1(np.array([0, 1, 1]), np.array([0, 0, 0])) == 0.0


LABELS = np.array([1, 1, 0, 0, 1])
FOUND = np.array([1, 0, 0, 1, 1])


def test_scores_are_formed_as_the_paper_says():
    assert score_of("accuracy")(LABELS, FOUND) == pytest.approx(0.6)
    assert score_of("accuracy_and_f1")(LABELS, FOUND) == pytest.approx(
        (3 / 5 + 2 / 3) / 2
    )
    assert score_of("matthews")(LABELS, FOUND) == pytest.approx(1 / 6)
    values, guesses = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])
    expected = (by_hand(values, guesses) + 1.0) / 2
    assert score_of("pearson_and_spearman")(values, guesses) == pytest.approx(expected)


def test_metrics_are_logged_by_name_in_per_cent():
    metrics, score = task_metrics("cola", "matthews", {"": (LABELS, FOUND)})
    assert metrics == {"eval/cola_matthews": pytest.approx(100 / 6)}
    assert score == metrics["eval/cola_matthews"]
    metrics, score = task_metrics("qqp", "accuracy_and_f1", {"": (LABELS, FOUND)})
    assert metrics == {
        "eval/qqp_accuracy": pytest.approx(60.0),
        "eval/qqp_f1": pytest.approx(200 / 3),
        "eval/qqp_score": pytest.approx((60 + 200 / 3) / 2),
    }
    assert score == metrics["eval/qqp_score"]


def test_mnli_is_the_mean_of_matched_and_mismatched():
    metrics, score = task_metrics(
        "mnli",
        "accuracy",
        {"matched": (LABELS, FOUND), "mismatched": (LABELS, LABELS)},
    )
    assert metrics == {
        "eval/mnli_matched_accuracy": pytest.approx(60.0),
        "eval/mnli_mismatched_accuracy": pytest.approx(100.0),
        "eval/mnli_score": pytest.approx(80.0),
    }
    assert score == pytest.approx(80.0)


def test_the_papers_own_average_follows_from_its_rows():
    # Table 4, data2vec: MNLI, QNLI, RTE, MRPC, QQP, STS-B, CoLA, SST.
    row = [(83.2 + 83.0) / 2, 90.9, 67.0, 90.2, 89.1, 87.2, 62.2, 91.8]
    assert np.mean(row) == pytest.approx(82.7, abs=0.05)
