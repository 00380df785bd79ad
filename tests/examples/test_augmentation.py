"""examples/salt.py: an augmentation of one's own."""

import numpy as np
import pytest
import torch

from ablations.identity import identity_settings
from d2v_core.build import check_buildable
from d2v_core.data.vision.own import own_change
from d2v_core.errors import ConfigError
from d2v_core.modalities.vision import MODALITY
from tests.examples.places import small_vision, trained

SALT = {"augmentation.kind": "salt.py:salt", "augmentation.settings.probability": 0.3}


def test_pixels_turn_white_as_often_as_asked_for() -> None:
    trial = small_vision(SALT)
    change = own_change(trial, trial.augmentation)
    assert change is not None
    images = torch.full((50, 3, 8, 8), 7, dtype=torch.uint8)
    changed = change(images, np.random.default_rng(0))
    assert set(changed.unique().tolist()) == {7, 255}
    assert (changed == changed[:, :1]).all()
    assert 0.25 < (changed == 255).float().mean() < 0.35


def test_batches_are_a_function_of_the_update() -> None:
    trial, plain = small_vision(SALT), small_vision({})
    dataset = MODALITY.load_data(trial)
    batches, others = (MODALITY.batches(t, dataset) for t in (trial, plain))
    torch.testing.assert_close(batches(3)[0], batches(3)[0])
    assert (batches(3)[0] != others(3)[0]).any()
    assert (batches(3)[1] == others(3)[1]).all()


def test_it_trains_and_is_identity_with_its_settings() -> None:
    trial = small_vision(SALT)
    assert len(trained(trial)[0]) == 6
    settings = identity_settings(trial)["augmentation"]
    assert settings["kind"].startswith("salt.py:salt@")
    assert settings["settings"] == {"probability": 0.3}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(images, generator): return images.float()", "gave torch.float32"),
        ("def f(images, generator): return images[:1]", "gave torch.uint8 of shape"),
        ("def f(images, generator): return images.numpy()", "gave a ndarray"),
    ],
)
def test_what_is_no_augmentation_is_refused(source, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(source)
    trial = small_vision({"augmentation.kind": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    wanted = "augmentation.kind: must be an augmentation, f(images, generator) -> "
    assert str(caught.value).startswith(wanted)
    assert message in str(caught.value)


def test_settings_are_for_ones_own() -> None:
    with pytest.raises(ConfigError, match="must be empty for none, got"):
        small_vision({"augmentation.settings.probability": 0.5})
