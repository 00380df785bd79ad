import numpy as np
import pytest
import torch

from d2v_core.build import build_encoder
from d2v_core.data.vision.images import Split
from d2v_core.evaluation.vision.evaluate import evaluate_images, extract_features
from d2v_core.randomness import numpy_generator
from tests.d2v_core.small import (
    fill_with_noise,
    small_dataset,
    small_split,
    small_trial,
)


@pytest.fixture
def encoder():
    encoder = build_encoder(small_trial({"vision": {"dropout": 0.5, "drop_path": 0.5}}))
    fill_with_noise(encoder)
    return encoder.train()


def pooled_by_hand(encoder, split, pooling):
    pixels = split.images.array.astype(np.float64) / 255.0
    images = torch.from_numpy((pixels - 0.4) / 0.25).float()
    encoder.eval()
    with torch.no_grad():
        tokens = encoder.all_tokens(images).numpy()
    encoder.train()
    if pooling == "class_token":
        return tokens[:, 0]
    patches = tokens[:, 1:]
    return (
        patches.mean(axis=1) if pooling == "mean" else patches.reshape(len(split), -1)
    )


@pytest.mark.parametrize("pooling", ["mean", "class_token", "concatenate"])
@pytest.mark.parametrize("batch_size", [4, 256])
def test_features_are_pooled_tokens_in_evaluation_mode(encoder, pooling, batch_size):
    dataset = small_dataset()
    features = extract_features(
        encoder, dataset, dataset.test, pooling=pooling, batch_size=batch_size
    )
    assert features.dtype == np.float32
    expected = pooled_by_hand(encoder, dataset.test, pooling)
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_extraction_restores_the_mode_and_keeps_no_graph(encoder):
    dataset = small_dataset()
    extract_features(encoder, dataset, dataset.valid, pooling="mean")
    assert encoder.training
    assert all(p.grad is None for p in encoder.parameters())


def protocol(encoder, dataset, seed=0, **changes):
    trial = small_trial({"evaluation": changes})
    return evaluate_images(
        encoder,
        dataset,
        trial.evaluation,
        augmentation=trial.augmentation,
        seed=seed,
    )


def test_accuracies_are_in_per_cent_and_the_choice_is_recorded(encoder):
    result = protocol(encoder, small_dataset())
    assert set(result.metrics) == {
        "eval/linear_accuracy",
        "eval/linear_validation_accuracy",
        "eval/knn_accuracy",
    }
    assert all(0 <= value <= 100 for value in result.metrics.values())
    steps = np.array(list(result.metrics.values())) / (100 / 15)
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)
    assert result.choices["evaluation.l2"] in (0.01, 0.1, 1.0)


def test_a_choice_at_the_edge_of_the_grid_is_noted(encoder):
    result = protocol(encoder, small_dataset(), l2_grid=[0.5, 1e6])
    (note,) = result.notes
    assert note == (
        f"the probe's L2 {result.choices['evaluation.l2']:g} lies on the edge of its "
        "grid"
    )
    assert protocol(encoder, small_dataset(), l2_grid=[0.5]).notes == ()


def test_a_probe_that_did_not_converge_is_noted(encoder, monkeypatch):
    monkeypatch.setattr("d2v_core.evaluation.probe.MAX_ITERATIONS", 2)
    result = protocol(encoder, small_dataset(), l2_grid=[0.001])
    assert result.notes == ("the probe's fit at L2 0.001 did not converge",)


class Recorded:
    """Counts which images were read."""

    def __init__(self, split):
        self.split, self.read_images = split, []

    def __len__(self):
        return len(self.split)

    def read(self, indices, boxes=None):
        self.read_images += indices.tolist()
        return self.split.images.read(indices, boxes)


def test_the_probe_sees_a_balanced_labelled_subset_drawn_with_the_seed(encoder):
    def images_read(seed):
        dataset = small_dataset()
        recorder = Recorded(dataset.train)
        train = Split(recorder, dataset.train.labels)
        changed = type(dataset)(**{**vars(dataset), "train": train})
        protocol(encoder, changed, seed=seed, num_labels=12)
        return recorder.read_images

    first = images_read(0)
    assert len(set(first)) == 12
    assert np.bincount(np.array(first) % 3).tolist() == [4, 4, 4]
    assert images_read(0) == first
    assert images_read(1) != first


def test_more_labels_than_images_are_all_images(encoder):
    few = protocol(encoder, small_dataset(), num_labels=1000)
    assert few.metrics == protocol(encoder, small_dataset()).metrics


def test_the_result_does_not_depend_on_the_order_of_the_training_images(encoder):
    dataset = small_dataset()
    order = numpy_generator(0, "test").permutation(30)
    changed = type(dataset)(**{**vars(dataset), "train": dataset.train.subset(order)})
    a, b = protocol(encoder, dataset), protocol(encoder, changed)
    assert a.metrics == pytest.approx(b.metrics, abs=100 / 15 + 1e-9)


def test_test_images_can_change_without_changing_what_was_chosen(encoder):
    dataset = small_dataset()
    other = type(dataset)(**{**vars(dataset), "test": small_split(15, seed=77)})
    a, b = protocol(encoder, dataset), protocol(encoder, other)
    assert a.choices == b.choices
    name = "eval/linear_validation_accuracy"
    assert a.metrics[name] == b.metrics[name]
