import warnings

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from d2v_core.evaluation.linear import stack_draws
from d2v_core.evaluation.logistic import fit_logistic
from d2v_core.evaluation.ridge import fit_ridge

GRID = [1e-6, 1e-4, 1e-2, 1.0]


def draws_of(*pairs):
    features, labels = zip(*pairs, strict=True)
    return stack_draws(
        [torch.from_numpy(np.asarray(x)) for x in features],
        [torch.from_numpy(np.asarray(y)) for y in labels],
    )


def drawn(seed, n, d, num_classes, *, spread=1.0, scale=True):
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=n)
    centres = np.random.default_rng(99).normal(size=(num_classes, d))
    features = centres[labels] + spread * generator.normal(size=(n, d))
    if scale:
        features = features * 10.0 ** generator.uniform(-2, 2, size=d) + 3.0
    return features, labels


def oracle(features, labels, strength):
    """scikit-learn's fit, to the end, and the standardised features."""
    x = StandardScaler().fit_transform(features)
    model = LogisticRegression(C=1 / (len(x) * strength), tol=1e-8, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, labels), x


def log_probabilities(model, x):
    """Its own take the logarithm of probabilities that may be 0."""
    scores = model.decision_function(x)
    if scores.ndim == 1:  # of the second of two classes
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    return log_softmax(scores, axis=1)


def objective(log_probs, labels, weight, strength):
    entropy = -log_probs[np.arange(len(labels)), labels].mean()
    return entropy + strength / 2 * (weight**2).sum()


def assert_as_scikit_learn(features, labels, strengths, *, num_classes, others=()):
    """Ours, fitted beside other draws, has its objective and its predictions."""
    draws = draws_of((features, labels), *others)
    fits = fit_logistic(draws, strengths, num_classes=num_classes, tolerance=1e-8)
    usual = fit_logistic(draws, strengths, num_classes=num_classes)
    deviation = features.std(axis=0)
    deviation[deviation <= 1e-12] = 1.0
    new = features + 0.3 * np.random.default_rng(1).normal(size=features.shape)
    found = fits.classes(torch.from_numpy(new))[0].numpy()
    for i, strength in enumerate(strengths):
        assert bool(fits.converged[0, i])
        model, x = oracle(features, labels, strength)
        kinds = np.unique(labels)
        theirs = objective(
            log_probabilities(model, x),
            np.searchsorted(kinds, labels),
            # Two classes: one column of scikit-learn's is the difference of two.
            model.coef_ / (2**0.5 if len(kinds) == 2 else 1.0),
            strength,
        )
        for ours, share in ((fits, 1e-5), (usual, 1e-2)):
            scores = ours.scores(torch.from_numpy(features))[0, i]
            value = objective(
                scores.log_softmax(dim=1).numpy(),
                labels,
                ours.weight[0, i].numpy() * deviation[:, None],
                strength,
            )
            assert value <= theirs * (1 + share) + 1e-12
        standard = (new - features.mean(axis=0)) / deviation
        probabilities = model.predict_proba(standard)
        top = np.sort(probabilities, axis=1)
        # Even a fit to the end turns what is nearly a tie; one within 1 % of a least
        # objective that is nearly 0, with 8 samples and little L2, turns more.
        clear = top[:, -1] - top[:, -2] > 0.2
        expected = kinds[probabilities.argmax(axis=1)]
        np.testing.assert_array_equal(found[i][clear], expected[clear])


@settings(max_examples=15)
@example(seed=0, n=29, d=8, num_classes=5, spread=5.0)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(8, 60),
    d=st.integers(1, 30),
    num_classes=st.integers(3, 6),
    spread=st.sampled_from([0.05, 1.0, 5.0]),
)
def test_objectives_and_predictions_are_scikit_learns(seed, n, d, num_classes, spread):
    features, labels = drawn(seed, n, d, num_classes, spread=spread)
    if len(np.unique(labels)) < 3:
        labels[:3] = [0, 1, 2]
    other = drawn(seed + 1, n, d, num_classes)
    assert_as_scikit_learn(
        features, labels, GRID, num_classes=num_classes, others=[other]
    )


@pytest.mark.parametrize(("n", "d"), [(20, 90), (150, 12)])
def test_separable_and_overlapping_draws_are_fitted_to_the_end(n, d):
    features, labels = drawn(0, n, d, 4)
    assert_as_scikit_learn(features, labels, GRID, num_classes=4)


def test_constant_features_have_no_part():
    features, labels = drawn(0, 50, 6, 3)
    features[:, 2] = 7.0
    assert_as_scikit_learn(features, labels, [1e-3], num_classes=3)
    fits = fit_logistic(draws_of((features, labels)), [1e-3], num_classes=3)
    assert fits.weight[0, 0, 2].abs().max() < 1e-9


def test_a_class_that_a_draw_lacks_is_never_predicted():
    features, labels = drawn(0, 60, 5, 4, spread=3.0)
    few = labels != 2
    assert_as_scikit_learn(
        features[few],
        labels[few],
        GRID,
        num_classes=4,
        others=[(features, labels)],
    )
    pair = draws_of((features[few], labels[few]), (features, labels))
    fits = fit_logistic(pair, GRID, num_classes=4)
    found = fits.classes(torch.from_numpy(features))
    assert 2 not in found[0]
    assert 2 in found[1]


def test_a_draw_of_one_class_predicts_it():
    features, _ = drawn(0, 10, 3, 3)
    fits = fit_logistic(
        draws_of((features, np.full(10, 1))), [1e-2, 0.0], num_classes=3
    )
    assert (fits.classes(torch.from_numpy(features)) == 1).all()
    assert fits.converged.all()


def test_draws_of_different_sizes_are_fitted_as_alone():
    pairs = [drawn(0, 30, 40, 3), drawn(1, 80, 40, 3), drawn(2, 11, 40, 3)]
    together = fit_logistic(draws_of(*pairs), GRID, num_classes=3, tolerance=1e-10)
    for i, pair in enumerate(pairs):
        alone = fit_logistic(draws_of(pair), GRID, num_classes=3, tolerance=1e-10)
        new = torch.from_numpy(pair[0])
        ours, theirs = together.scores(new)[i], alone.scores(new)[0]
        ours, theirs = ours.softmax(dim=2), theirs.softmax(dim=2)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_much_memory_is_not_needed_at_once(monkeypatch):
    pairs = [drawn(i, 25, 5, 3) for i in range(4)]
    whole = fit_logistic(draws_of(*pairs), GRID, num_classes=3)
    for limit in (1, 25 * 3 * 4 * 2):
        monkeypatch.setattr("d2v_core.evaluation.logistic.LARGEST", limit)
        monkeypatch.setattr("d2v_core.evaluation.linear.WHOLE_ROWS", limit)
        parts = fit_logistic(draws_of(*pairs), GRID, num_classes=3)
        new = torch.from_numpy(pairs[0][0])
        assert torch.equal(whole.classes(new), parts.classes(new))


def test_a_fit_that_is_cut_short_says_so():
    draws = draws_of(drawn(0, 60, 5, 3))
    fits = fit_logistic(draws, GRID, num_classes=3, max_steps=4)
    assert not fits.converged[0, 0]
    assert fits.converged[0, 3]


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 40),
    d=st.integers(1, 30),
    constant=st.booleans(),
)
def test_ridge_is_scikit_learns(seed, n, d, constant):
    features, _ = drawn(seed, n, d, 3)
    if constant:
        features[:, 0] = 4.0
    numbers = np.random.default_rng(seed).normal(size=n)
    pairs = [(features, numbers), drawn(seed + 1, n, d, 3)]
    fits = fit_ridge(draws_of(*pairs), GRID)
    scaler = StandardScaler().fit(features)
    found = fits.numbers(torch.from_numpy(features))[0].numpy()
    for i, strength in enumerate(GRID):
        model = Ridge(alpha=n * strength, solver="svd")
        model.fit(scaler.transform(features), numbers)
        expected = model.predict(scaler.transform(features))
        np.testing.assert_allclose(found[i], expected, atol=1e-6)


@pytest.mark.parametrize("num_classes", [3, 12])
def test_ridge_of_classes_is_scikit_learns(num_classes):
    features, labels = drawn(5, 120, 9, num_classes, spread=2.0)
    others = drawn(6, 120, 9, num_classes)
    fits = fit_ridge(
        draws_of((features, labels), others), GRID, num_classes=num_classes
    )
    scaler = StandardScaler().fit(features)
    new, _ = drawn(7, 300, 9, num_classes, spread=2.0)
    found = fits.classes(torch.from_numpy(new))[0].numpy()
    for i, strength in enumerate(GRID):
        model = RidgeClassifier(alpha=120 * strength, solver="svd")
        model.fit(scaler.transform(features), labels)
        np.testing.assert_array_equal(found[i], model.predict(scaler.transform(new)))


def test_one_fit_of_each_draw_can_be_taken():
    pairs = [drawn(i, 30, 5, 3) for i in range(2)]
    fits = fit_logistic(draws_of(*pairs), GRID, num_classes=3)
    new = torch.from_numpy(pairs[0][0])
    chosen = fits.chosen(torch.tensor([3, 1])).classes(new)
    everything = fits.classes(new)
    assert torch.equal(chosen[0, 0], everything[0, 3])
    assert torch.equal(chosen[1, 0], everything[1, 1])
