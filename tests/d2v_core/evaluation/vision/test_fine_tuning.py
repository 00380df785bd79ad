"""BEiT's way of fine-tuning: mean of patches, new norm, classifier close to zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from d2v_core.build import build_encoder
from d2v_core.config import parse_trial
from d2v_core.errors import ConfigError
from d2v_core.evaluation.labels import balanced, label_draws
from d2v_core.evaluation.vision.fine_tuning import (
    accuracy,
    classifier,
    fine_tune_images,
    prepare,
)
from d2v_core.modalities.vision import MODALITY
from tests.d2v_core.small import (
    SMALL,
    fill_with_noise,
    merged,
    small_dataset,
    small_split,
    small_trial,
)

FINE_TUNING = {"num_steps": 30, "batch_size": 16, "learning_rates": [0.003, 0.01, 0.03]}


def trial_with(**changes):
    # Nothing is pre-trained here, and timm's wider weights learn in fewer updates.
    own = {"vision": {"init": "timm"}}
    return small_trial(own, {"evaluation": {"fine_tuning": FINE_TUNING | changes}})


def tune(encoder, trial, dataset=None):
    return fine_tune_images(
        encoder,
        dataset or small_dataset(),
        trial.evaluation.fine_tuning,
        augmentation=trial.augmentation,
        seed=trial.seed,
    )


def test_logits_are_the_classifier_on_the_normed_mean_of_un_normed_patches():
    encoder = build_encoder(small_trial())
    fill_with_noise(encoder)
    captured = []
    encoder.vit.norm.register_forward_hook(lambda m, i, o: captured.append(i[0]))
    images = torch.randn(2, 1, 8, 8)
    encoder(images)
    prepare(encoder, drop_path=None)
    head = classifier(16, 3, init_scale=1.0)
    fill_with_noise(head, seed=1)
    pooled = captured[0][:, 1:].mean(dim=1)  # without the class token
    centred = pooled - pooled.mean(dim=1, keepdim=True)
    normed = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
    expected = (normed * head.fc_norm.weight + head.fc_norm.bias) @ head.linear.weight.T
    expected = expected + head.linear.bias
    logits = head(encoder(images).mean(dim=1))
    assert torch.allclose(logits, expected, atol=1e-5)


def test_the_classifier_starts_at_a_thousandth_of_its_scale():
    torch.manual_seed(0)
    head = classifier(512, 100, init_scale=0.001)
    assert float(head.linear.weight.detach().std()) == pytest.approx(
        0.02 * 0.001, rel=0.02
    )
    assert not head.linear.bias.any()


@pytest.mark.parametrize(
    "timm_model", ["vit_tiny_patch16_224", "beit_base_patch16_224"]
)
def test_stochastic_depth_rises_linearly_whatever_pre_training_had(timm_model):
    for before in (0.0, 0.5):
        changes = {"vision": {"timm_model": timm_model, "drop_path": before}}
        encoder = build_encoder(small_trial(changes))
        prepare(encoder, drop_path=0.2)
        rates = [
            (
                getattr(b.drop_path1, "drop_prob", 0),
                getattr(b.drop_path2, "drop_prob", 0),
            )
            for b in encoder.vit.blocks
        ]
        assert rates == [(0, 0), (0.1, 0.1), (0.2, 0.2)]
    prepare(encoder, drop_path=None)
    assert encoder.vit.blocks[2].drop_path1.drop_prob == 0.2
    images = torch.randn(2, 1, 8, 8)
    torch.manual_seed(0)
    trained = encoder.train()(images)
    torch.manual_seed(4)
    assert not torch.equal(encoder(images), trained)


def test_it_learns_what_the_columns_mean_and_leaves_the_encoder_alone():
    trial = trial_with(num_steps=120, learning_rates=[1e-4, 0.02])
    encoder = build_encoder(trial).eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    result = tune(encoder, trial)
    assert set(result.metrics) == {
        "eval/fine_tuned_accuracy",
        "eval/fine_tuned_validation_accuracy",
    }
    assert result.metrics["eval/fine_tuned_accuracy"] > 80
    assert result.choices == {"evaluation.fine_tuning.learning_rate": 0.02}
    (note,) = result.notes
    assert note == "the fine-tuning learning rate 0.02 lies on the edge of its grid"
    after = encoder.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not encoder.training


def test_the_test_split_takes_no_part_in_the_choice():
    trial = trial_with(num_steps=4)
    encoder, dataset = build_encoder(trial), small_dataset()
    other = type(dataset)(**{**vars(dataset), "test": small_split(15, seed=77)})
    a, b = tune(encoder, trial), tune(encoder, trial, other)
    assert a.choices == b.choices
    name = "eval/fine_tuned_validation_accuracy"
    assert a.metrics[name] == b.metrics[name]


def test_the_loss_is_cross_entropy_with_smoothed_labels(monkeypatch):
    smoothing, trial = [], trial_with(num_steps=1, label_smoothing=0.3)
    original = F.cross_entropy

    def spy(logits, labels, label_smoothing):
        smoothing.append(label_smoothing)
        return original(logits, labels, label_smoothing=label_smoothing)

    monkeypatch.setattr(F, "cross_entropy", spy)
    tune(build_encoder(trial), trial)
    assert smoothing == [0.3] * 3


def test_accuracy_is_counted_over_all_batches():
    encoder, dataset = build_encoder(small_trial()).eval(), small_dataset()
    head = nn.Linear(16, 3).eval()
    images = dataset.normalise(dataset.test.images.read(np.arange(15)))
    with torch.no_grad():
        guessed = head(encoder(images).mean(dim=1)).argmax(dim=1).numpy()
    expected = float((guessed == dataset.test.labels).mean())
    for batch_size in (4, 256):
        found = accuracy(encoder, head, dataset, dataset.test, batch_size=batch_size)
        assert found == pytest.approx(expected)


def test_the_protocol_adds_fine_tuning_to_the_probe_on_the_same_labels():
    trial = trial_with(num_steps=2, learning_rates=[0.01])
    few = small_trial(
        {
            "evaluation": {
                "fine_tuning": FINE_TUNING | {"num_steps": 2},
                "num_labels": 12,
            }
        }
    )
    encoder = build_encoder(trial)
    result = MODALITY.evaluate(trial, encoder, small_dataset())
    frozen = MODALITY.evaluate(small_trial(), encoder, small_dataset())
    assert result.metrics.items() >= frozen.metrics.items()
    assert result.choices.items() >= frozen.choices.items()
    assert result.choices["evaluation.fine_tuning.learning_rate"] == 0.01
    assert "eval/fine_tuned_accuracy" in result.metrics
    read = []

    class Recorder:
        def __init__(self, images):
            self.images = images

        def __len__(self):
            return len(self.images)

        def read(self, indices, boxes=None):
            read.extend(indices.tolist())
            return self.images.read(indices, boxes)

    dataset = small_dataset()
    train = type(dataset.train)(Recorder(dataset.train.images), dataset.train.labels)
    MODALITY.evaluate(few, encoder, type(dataset)(**{**vars(dataset), "train": train}))
    features, tuned = read[:30], read[30:]
    assert sorted(features) == list(range(30))
    (draw,) = label_draws(balanced(dataset.train.labels), few.evaluation, seed=few.seed)
    assert tuned
    assert set(tuned) <= set(draw.tolist())


def test_a_mistake_in_its_settings_is_named_with_its_path():
    wrong = {"evaluation": {"fine_tuning": {"num_steps": 3, "learning_rate": [0.1]}}}
    with pytest.raises(ConfigError) as caught:
        parse_trial(merged(SMALL, wrong))
    assert str(caught.value).splitlines() == [
        "evaluation.fine_tuning.learning_rates: is required and was not given",
        "evaluation.fine_tuning.learning_rate: unknown setting; did you mean "
        "'learning_rates'?",
    ]
