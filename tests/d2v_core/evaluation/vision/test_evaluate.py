import numpy as np
import pytest
import torch

from d2v_core.build import build_encoder
from d2v_core.errors import ConfigError
from d2v_core.evaluation.vision.evaluate import evaluate_images, extract_features
from d2v_core.modalities.vision import MODALITY as VISION
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
        "eval/accuracy",
        "eval/linear_accuracy",
        "eval/linear_validation_accuracy",
        "eval/knn_accuracy",
        "eval/rankme",
    }
    assert 1 <= result.metrics["eval/rankme"] <= 16
    accuracies = [v for k, v in result.metrics.items() if k != "eval/rankme"]
    assert all(0 <= value <= 100 for value in accuracies)
    steps = np.array(accuracies) / (100 / 15)
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


def test_labelled_subsets_are_drawn_with_the_seed_and_features_computed_once(encoder):
    few = {"num_labels": 12, "num_label_draws": 3}
    first = protocol(encoder, small_dataset(), **few)
    assert len(first.draws["eval/linear_accuracy"]) == 3
    assert first.metrics == protocol(encoder, small_dataset(), **few).metrics
    other = protocol(encoder, small_dataset(), seed=1, **few)
    assert first.draws != other.draws
    rank = "eval/rankme"
    assert first.metrics[rank] == other.metrics[rank]


def test_a_subset_is_balanced(encoder, monkeypatch):
    seen = []

    def recorded(train, draws, valid, **options):
        seen.append(train.labels[draws[0]])
        raise InterruptedError

    monkeypatch.setattr("d2v_core.evaluation.protocol.fit_probes", recorded)
    with pytest.raises(InterruptedError):
        protocol(encoder, small_dataset(), num_labels=12)
    assert np.bincount(seen[0]).tolist() == [4, 4, 4]


def test_features_of_several_layers_have_no_class_token(encoder):
    dataset = small_dataset()
    two = extract_features(encoder, dataset, dataset.test, pooling="mean", num_layers=2)
    one = extract_features(encoder, dataset, dataset.test, pooling="mean")
    assert two.shape == one.shape
    assert not np.allclose(two, one)
    with pytest.raises(
        ConfigError, match="must be 1 with evaluation.pooling class_tok"
    ):
        small_trial({"evaluation": {"num_layers": 2, "pooling": "class_token"}})


def test_more_labels_than_images_are_refused_when_the_data_is_loaded():
    trial = small_trial({"evaluation": {"num_labels": 1000}})
    with pytest.raises(ConfigError, match=r"num_labels: must be at .* 999, got 1000"):
        VISION.load_data(trial)
    fewer = small_trial({"evaluation": {"num_labels": 999}})
    assert VISION.same_data(trial) != VISION.same_data(fewer)


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
