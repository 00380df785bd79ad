"""Samples in memory: the three modalities, what they become, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

import d2v_core
from d2v_core.build import build_encoder
from d2v_core.config import parse_trial
from d2v_core.data.speech.audio_files import resample
from d2v_core.errors import ConfigError
from d2v_core.modalities import modality_of
from tests.d2v_core.small import fill_with_noise

TINY: dict[str, Any] = {
    "training": {"num_steps": 3, "batch_size": 4},
    "execution.num_threads": 1,
    "execution.log_every": 1,
    "target.top_k": 2,
}
VISION = TINY | {
    "vision": {
        "width": 16,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 4,
        "mlp_ratio": 2.0,
    }
}
SPEECH = TINY | {
    "speech": {"width": 16, "depth": 2, "num_heads": 2, "position_groups": 2}
}
TEXT = TINY | {"text": {"width": 16, "depth": 2, "num_heads": 2}}


def digits(count: int = 24) -> np.ndarray:
    images = load_digits().images[:count]
    return (images * 255 / 16).round().astype(np.uint8)


def waves(count: int = 6, rate: int = 16_000) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    lengths = generator.integers(rate, 2 * rate, count)
    return [generator.normal(0, 0.1, n).astype(np.float32) for n in lengths]


SENTENCES = [f"the {a} runs to the {b}" for a in ("cat", "dog") for b in "xyz"] * 3


def same(a: d2v_core.Pretrained, b: d2v_core.Pretrained) -> bool:
    first, second = a.encoder.state_dict(), b.encoder.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def pretrain(samples: Any, settings: Any, **more: Any) -> d2v_core.Pretrained:
    return d2v_core.pretrain(samples, settings=settings, progress=False, **more)


@pytest.mark.parametrize(
    ("samples", "settings", "modality"),
    [
        (digits()[:, None], VISION, "vision"),
        (waves(), SPEECH, "speech"),
        (SENTENCES, TEXT, "text"),
    ],
)
def test_samples_of_each_modality_give_an_encoder_its_features_and_a_folder(
    tmp_path, samples, settings, modality
):
    found = pretrain(samples, settings)
    assert found.trial.modality == modality
    assert [entry["step"] for entry in found.history] == [1, 2, 3]
    assert all(np.isfinite(entry["train/loss"]) for entry in found.history)
    features = found.features(samples)
    assert features.shape == (len(samples), 16)
    assert set(d2v_core.evaluate(found, samples)) == {"rankme"}
    again = d2v_core.load_encoder(found.save(tmp_path / "kept"))
    assert np.array_equal(again.features(samples), features)
    # The number of updates is what it was trained for, and training changed it.
    fresh = build_encoder(found.trial).state_dict()
    assert again.step == 3
    assert any(
        not torch.equal(value, fresh[name])
        for name, value in found.encoder.state_dict().items()
    )


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda images: torch.from_numpy(images), id="tensor"),
        pytest.param(lambda images: images[:, None], id="with channel"),
        pytest.param(lambda images: images[..., None], id="channels last"),
        pytest.param(lambda images: images / 255.0, id="floats"),
        pytest.param(lambda images: [Image.fromarray(i) for i in images], id="PIL"),
        pytest.param(
            lambda images: TensorDataset(
                torch.from_numpy(images), torch.zeros(len(images))
            ),
            id="torch data set",
        ),
    ],
)
def test_the_same_images_in_other_wrappings_train_the_same_encoder(other):
    images = digits()
    assert same(pretrain(images, VISION), pretrain(other(images), VISION))


def test_images_of_several_sizes_are_cut_to_squares():
    images = [np.full((h, w, 3), 9 * h, np.uint8) for h, w in ((9, 12), (16, 8))] * 4
    found = pretrain(images, VISION)
    assert (found.trial.vision.image_size, found.trial.vision.channels) == (8, 3)


def test_features_and_scores_take_what_was_trained_on():
    images = digits()
    found = pretrain(images, VISION)
    expected = found.features(images[:, None])
    pictures = [Image.fromarray(image) for image in images]
    for other in (images, images / 255.0, torch.from_numpy(images), pictures):
        assert np.array_equal(found.features(other), expected)
    # Larger ones in colour are brought to the encoder's size.
    large = [
        p.resize((40, 40), Image.Resampling.NEAREST).convert("RGB") for p in pictures
    ]
    assert found.features(large).shape == expected.shape
    labelled = TensorDataset(torch.from_numpy(images), torch.arange(24) % 2)
    assert d2v_core.evaluate(found, labelled)["linear_accuracy"] >= 0.0
    assert set(d2v_core.evaluate(found, TensorDataset(torch.from_numpy(images)))) == {
        "rankme"
    }


def test_features_of_another_rate_are_those_of_the_resampled_waves():
    slow = waves(rate=8_000)
    found = pretrain(slow, SPEECH, sample_rate=8_000)
    at_16_khz = [resample(wave, 8_000) for wave in slow]
    features = found.features(slow, sample_rate=8_000)
    assert np.array_equal(features, found.features(at_16_khz))
    assert not np.allclose(features, found.features(slow))
    rank = d2v_core.evaluate(found, slow, sample_rate=8_000)
    assert rank == d2v_core.evaluate(found, at_16_khz)
    with pytest.raises(ConfigError, match="samples: must have .* the shortest has 3"):
        found.features([slow[0], slow[0][:3]])


def test_waveforms_at_another_rate_are_brought_to_16_khz():
    found = pretrain(waves(rate=8_000), SPEECH, sample_rate=8_000)
    assert found.trial.waveform.max_seconds == pytest.approx(1.5, abs=0.5)


def test_labels_serve_a_supervised_encoder():
    labels = load_digits().target[:24]
    supervised = VISION | {"objective": {"kind": "supervised"}}
    found = pretrain(digits(), supervised, labels=labels)
    assert not same(found, pretrain(digits(), supervised, labels=labels[::-1]))
    assert same(pretrain(digits(), VISION), pretrain(digits(), VISION, labels=labels))
    with pytest.raises(ConfigError, match="labels: must be as many as the samples"):
        pretrain(digits(), VISION, labels=labels[:5])


def test_the_seed_and_the_samples_say_what_comes_out():
    first = pretrain(digits(), VISION)
    assert same(first, pretrain(digits(), VISION))
    assert not same(first, pretrain(digits(), VISION, seed=1))
    other = pretrain(digits()[::-1], VISION)
    assert first.trial.data.digest != other.trial.data.digest


def test_a_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    often = VISION | {"execution.checkpoint_every_seconds": 1e-9}
    whole = pretrain(digits(), often)
    file = tmp_path / "state.pt"
    monkeypatch.setattr(
        "d2v_core.api.pretraining.TrainedEncoder.taken_from",
        lambda *args, **about: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    with pytest.raises(KeyboardInterrupt):
        pretrain(digits(), often, checkpoint=file)
    monkeypatch.undo()
    resumed = pretrain(digits(), often, checkpoint=file)
    assert len(resumed.history) < len(whole.history)
    assert same(whole, resumed)


def test_torch_keeps_its_number_of_threads():
    before = torch.get_num_threads()
    pretrain(digits(), VISION | {"execution.num_threads": before + 1})
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("samples", "settings", "said"),
    [
        ([], {}, "samples: must not be empty"),
        ("a text", {}, "samples: must be an array, a list or a torch data set"),
        (iter([1]), {}, "samples: must be an array, a list or a torch data set"),
        (np.zeros((3, 8, 8, 5), np.uint8), {}, r"samples\[0\]: must be of shape"),
        (np.full((3, 8, 8), 3.0), {}, r"samples\[0\]: floats must lie between 0 and 1"),
        (np.zeros((3, 8, 8), np.int64), {}, r"samples\[0\]: must be of uint8"),
        ([np.full(9, np.nan)], {}, r"samples\[0\]: must be of finite floats"),
        (["a", "  "], {}, r"samples\[1\]: must be a string that is not blank"),
        (["a", 3], {}, r"samples\[1\]: must be a string"),
        (np.zeros((3, 8, 8), np.uint8), {"target.topk": 1}, "target.topk: .*top_k"),
        (np.zeros((3, 8, 8), np.uint8), {"target.top_k": 99}, "target.top_k"),
    ],
)
def test_what_cannot_be_trained_on_is_told_at_once(samples, settings, said):
    with pytest.raises(ConfigError, match=said):
        d2v_core.pretrain(samples, settings=settings, progress=False)


def test_a_rate_and_a_modality_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="sample_rate: must be 4,000 to 192,000 Hz"):
        d2v_core.pretrain(waves(), sample_rate=10)
    with pytest.raises(ConfigError, match="modality: "):
        d2v_core.pretrain(waves(), modality="smell")


@pytest.mark.parametrize("modality", ["vision", "speech", "text"])
def test_whoever_would_load_the_samples_is_told_that_they_are_in_no_file(modality):
    data = {"source": "memory", "digest": "0" * 16}
    trial = parse_trial({"modality": modality, "data": data})
    assert modality_of(trial).training_digest(trial)
    with pytest.raises(d2v_core.DataError, match="lie in no file"):
        modality_of(trial).load_data(trial)


def test_a_probe_tells_classes_apart_and_test_samples_may_be_ones_own():
    found = pretrain(digits(400), VISION)
    fill_with_noise(found.encoder, scale=0.1)
    images, labels = digits(400)[:, None], load_digits().target[:400]
    scores = d2v_core.evaluate(found, images, labels)
    assert 20.0 < scores["linear_accuracy"] <= 100.0
    own = d2v_core.evaluate(
        found, images[:300], labels[:300], test_samples=images[300:],
        test_labels=labels[300:], num_labels=100, num_label_draws=3,
    )  # fmt: skip
    assert 20.0 < own["linear_accuracy"] <= 100.0
    assert own["linear_accuracy_draw_sd"] >= 0.0
    with pytest.raises(ConfigError, match="test_labels: must be given"):
        d2v_core.evaluate(found, images, labels, test_samples=images)
    with pytest.raises(ConfigError, match="labels: must have at least 2 classes"):
        d2v_core.evaluate(found, images, np.zeros(400))
