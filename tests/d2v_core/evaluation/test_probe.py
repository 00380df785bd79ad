from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from d2v_core.evaluation.neighbours import neighbours_accuracies
from d2v_core.evaluation.probe import Features, accuracy, fit_probes


def fit(train, valid, l2_grid, *, draws=None, num_classes=3):
    return fit_probes(
        train,
        [np.arange(len(train.labels))] if draws is None else draws,
        valid,
        l2_grid=l2_grid,
        score=accuracy,
        num_classes=num_classes,
    )


def accuracies(probes, test):
    return [accuracy(test.labels, one) for one in probes.predict(test.features)]


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
    probes = fit(train, valid, [l2])
    assert probes.l2 == (l2,)
    expected = logistic_regression_oracle(train, test, l2)
    assert accuracies(probes, test) == pytest.approx([expected], abs=0.005)
    expected = logistic_regression_oracle(train, valid, l2)
    assert probes.validation_scores == pytest.approx([expected], abs=0.02)


def test_every_draw_is_fitted_and_selected_for_itself():
    train, valid, test = noisy(200, 0), noisy(60, 1), noisy(600, 2)
    generator, grid = np.random.default_rng(0), [1e-4, 1e-2, 1.0]
    draws = [generator.permutation(200)[:40] for _ in range(4)]
    together = fit(train, valid, grid, draws=draws)
    for r, draw in enumerate(draws):
        alone = fit(train.subset(draw), valid, grid)
        assert together.l2[r] == alone.l2[0]
        assert together.validation_scores[r] == alone.validation_scores[0]
        assert accuracies(together, test)[r] == accuracies(alone, test)[0]
    assert together.median_l2 == sorted(together.l2)[1]


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


def test_the_penalty_is_chosen_on_the_validation_split():
    grid = [1e-3, 1e4]
    weak = fit(unbalanced_train(), flag_and_flip(False), grid)
    strong = fit(unbalanced_train(), mostly_class_zero(True), grid)
    assert (weak.l2, weak.validation_scores) == ((1e-3,), (1.0,))
    assert accuracies(weak, mostly_class_zero(True)) == [0.0]
    assert (strong.l2, strong.validation_scores) == ((1e4,), (0.75,))
    assert accuracies(strong, flag_and_flip(False)) == [0.5]


def test_on_a_tie_the_stronger_penalty_wins_and_the_edge_is_reported():
    easy = flag_and_flip(False)
    tied = fit(easy, easy, [0.1, 0.001, 0.01])
    assert (tied.l2, tied.on_edge) == ((0.1,), (True,))
    middle = fit(unbalanced_train(), easy, [1e4, 0.001, 0.01])
    assert (middle.l2, middle.on_edge) == ((0.01,), (False,))


def test_remarks_name_the_strength_of_one_draw_or_count_several():
    easy, all_of_it = flag_and_flip(False), np.arange(20)
    one = fit(easy, easy, [0.1, 0.001])
    assert one.notes() == ("the probe's L2 0.1 lies on the edge of its grid",)
    several = fit(easy, easy, [0.1, 0.001], draws=[all_of_it, all_of_it])
    assert several.notes("cola: the probe's") == (
        "cola: the probe's L2 lies on the edge of its grid in 2 of 2 draws",
    )


def test_a_fit_that_stops_early_is_reported(monkeypatch):
    train, valid = noisy(90, 0), noisy(60, 1)
    probes = fit(train, valid, [1e-3], draws=[np.arange(80), np.arange(60)])
    assert probes.converged == (True, True)
    assert probes.notes() == ()
    changed = replace(probes, converged=(True, False))
    assert changed.notes() == ("the probe's fit did not converge in 1 of 2 draws",)


def test_a_grid_of_one_has_no_edge():
    easy = flag_and_flip(False)
    assert fit(easy, easy, [1.0]).on_edge == (False,)


def test_constant_features_give_chance_and_no_error():
    labels = np.arange(30) % 3
    constant = Features(np.ones((30, 4), dtype=np.float32), labels)
    probes = fit(constant, constant, [0.1, 1.0])
    assert accuracies(probes, constant) == pytest.approx([1 / 3])


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
def test_nearest_neighbours_vote_by_inverse_cosine_distance(k, monkeypatch):
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    train = Features(np.eye(3, 6)[labels] + generator.normal(size=(60, 6)), labels)
    test = Features(np.eye(3, 6)[labels] + generator.normal(size=(60, 6)), labels)
    draws = [generator.permutation(60)[:30], np.arange(60), np.arange(12)]
    expected = [knn_oracle(train.subset(draw), test, k) for draw in draws]
    for largest in (1 << 24, 60 * 7):
        monkeypatch.setattr("d2v_core.evaluation.neighbours.LARGEST", largest)
        ours = neighbours_accuracies(train, draws, test, num_neighbours=k)
        assert ours == pytest.approx(expected)


def test_more_neighbours_than_samples_are_all_samples_and_equals_vote_alone():
    easy = flag_and_flip(False)
    draws = [np.arange(20)]
    assert neighbours_accuracies(easy, draws, easy, num_neighbours=500) == [1.0]


def test_neighbours_are_scikit_learns_in_float32():
    train, test = noisy(300, 0), noisy(200, 1)
    model = KNeighborsClassifier(n_neighbors=20, metric="cosine", weights="distance")
    expected = model.fit(train.features, train.labels).score(test.features, test.labels)
    ours = neighbours_accuracies(train, [np.arange(300)], test, num_neighbours=20)
    assert ours == pytest.approx([expected], abs=0.006)
