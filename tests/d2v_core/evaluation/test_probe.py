import numpy as np
import pytest
import torch

from d2v_core.evaluation import probe as probe_module
from d2v_core.evaluation.probe import (
    Features,
    linear_probe,
    nearest_neighbours_accuracy,
)


def noisy(num_samples, seed, num_classes=3, spread=1.5):
    generator = np.random.default_rng(seed)
    labels = np.arange(num_samples) % num_classes
    centres = np.random.default_rng(99).normal(size=(num_classes, 6))
    features = centres[labels] + spread * generator.normal(size=(num_samples, 6))
    scale = np.array([1, 10, 0.1, 1, 1, 1])
    return Features((features * scale + 5).astype(np.float32), labels)


def logistic_regression_oracle(train, test, l2):
    """Minimise mean cross-entropy + l2/2 |w|^2 in float64, bias not penalised."""
    mean, std = train.features.mean(axis=0), train.features.std(axis=0)
    x = torch.from_numpy((train.features - mean) / std).double()
    y = torch.from_numpy(train.labels)
    weight = torch.zeros(x.shape[1], 3, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss():
        optimizer.zero_grad()
        entropy = torch.nn.functional.cross_entropy(x @ weight + bias, y)
        value = entropy + l2 / 2 * (weight**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    scores = torch.from_numpy((test.features - mean) / std).double() @ weight + bias
    return float((scores.argmax(dim=1).numpy() == test.labels).mean())


@pytest.mark.parametrize("l2", [1e-3, 0.1, 10.0])
def test_the_probe_is_logistic_regression_with_that_penalty(l2):
    train, valid, test = noisy(90, 0), noisy(60, 1), noisy(600, 2)
    result = linear_probe(train, valid, test, l2_grid=[l2])
    assert result.l2 == l2
    expected = logistic_regression_oracle(train, test, l2)
    assert result.test_accuracy == pytest.approx(expected, abs=0.005)
    expected = logistic_regression_oracle(train, valid, l2)
    assert result.validation_accuracy == pytest.approx(expected, abs=0.02)


def flag_and_flip(flip):
    """A feature that tells the class, or (flipped) tells the opposite."""
    labels = np.array([0, 1] * 10)
    features = (2.0 * labels - 1.0)[:, None]
    return Features(-features if flip else features, labels)


def mostly_class_zero(flip):
    labels = np.array([0] * 15 + [1] * 5)
    features = (2.0 * labels - 1.0)[:, None]
    return Features(-features if flip else features, labels)


def unbalanced_train():
    # Class 0 is the prior's choice; a weak penalty follows the feature instead.
    labels = np.array([0] * 13 + [1] * 7)
    return Features((2.0 * labels - 1.0)[:, None], labels)


def test_the_penalty_is_chosen_on_validation_even_when_the_test_split_disagrees():
    grid = [1e-3, 1e4]
    valid_likes_weak, valid_likes_strong = flag_and_flip(False), mostly_class_zero(True)
    weak = linear_probe(
        unbalanced_train(), valid_likes_weak, mostly_class_zero(True), l2_grid=grid
    )
    strong = linear_probe(
        unbalanced_train(), valid_likes_strong, flag_and_flip(False), l2_grid=grid
    )
    assert (weak.l2, weak.validation_accuracy, weak.test_accuracy) == (1e-3, 1.0, 0.0)
    assert (strong.l2, strong.validation_accuracy) == (1e4, 0.75)
    assert strong.test_accuracy == 0.5


def test_the_test_labels_do_not_change_what_is_chosen():
    train, valid, test = noisy(60, 0), noisy(60, 1), noisy(60, 2)
    shuffled = Features(test.features, np.roll(test.labels, 1))
    grid = [1e-3, 1e-1, 10.0]
    first = linear_probe(train, valid, test, l2_grid=grid)
    second = linear_probe(train, valid, shuffled, l2_grid=grid)
    assert (first.l2, first.validation_accuracy) == (
        second.l2,
        second.validation_accuracy,
    )
    assert first.test_accuracy != second.test_accuracy


def test_on_a_tie_the_stronger_penalty_wins_and_the_edge_is_reported():
    easy = flag_and_flip(False)
    tied = linear_probe(easy, easy, easy, l2_grid=[0.1, 0.001, 0.01])
    assert (tied.l2, tied.on_edge) == (0.1, True)
    middle = linear_probe(unbalanced_train(), easy, easy, l2_grid=[1e4, 0.001, 0.01])
    assert (middle.l2, middle.on_edge) == (0.01, False)


def test_a_fit_that_stops_early_is_reported_instead_of_warned_about(monkeypatch):
    train, valid, test = noisy(90, 0), noisy(60, 1), noisy(60, 2)
    assert linear_probe(train, valid, test, l2_grid=[0.1]).converged
    monkeypatch.setattr(probe_module, "MAX_ITERATIONS", 2)
    assert not linear_probe(train, valid, test, l2_grid=[0.1]).converged


def test_a_grid_of_one_has_no_edge():
    easy = flag_and_flip(False)
    assert not linear_probe(easy, easy, easy, l2_grid=[1.0]).on_edge


def test_constant_features_give_chance_and_no_error():
    labels = np.arange(30) % 3
    constant = Features(np.ones((30, 4), dtype=np.float32), labels)
    result = linear_probe(constant, constant, constant, l2_grid=[0.1, 1.0])
    assert result.test_accuracy == pytest.approx(1 / 3)


def knn_oracle(train, test, k):
    correct = 0
    for x, label in zip(test.features, test.labels, strict=True):
        cosine = train.features @ x / np.linalg.norm(train.features, axis=1)
        distance = 1 - cosine / np.linalg.norm(x)
        votes = np.zeros(3)
        for i in np.argsort(distance)[:k]:
            votes[train.labels[i]] += 1 / distance[i]
        correct += votes.argmax() == label
    return correct / len(test.labels)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_nearest_neighbours_vote_by_inverse_cosine_distance(k):
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    train = Features(np.eye(3, 6)[labels] + generator.normal(size=(60, 6)), labels)
    test = Features(np.eye(3, 6)[labels] + generator.normal(size=(60, 6)), labels)
    ours = nearest_neighbours_accuracy(train, test, num_neighbours=k)
    assert ours == pytest.approx(knn_oracle(train, test, k))


def test_more_neighbours_than_samples_are_all_samples():
    easy = flag_and_flip(False)
    assert nearest_neighbours_accuracy(easy, easy, num_neighbours=500) == 1.0
