"""examples/tensors.py: a data source of one's own."""

import pytest

from ablations.identity import trial_key
from d2v_core.errors import ConfigError
from d2v_core.modalities.vision import MODALITY
from tests.examples.places import small_vision, trained

DATA = {"data.source": "own", "data.function": "tensors.py:bars"}


def test_it_trains_on_the_tensors() -> None:
    losses, metrics = trained(small_vision(DATA))
    assert len(losses) == 6
    assert metrics["eval/linear_accuracy"] > 50.0


def test_the_data_is_what_the_example_gives() -> None:
    trial = small_vision({**DATA, "data.settings.num_images": 40})
    dataset = MODALITY.load_data(trial)
    assert dataset.name == "tensors.py:bars"
    assert dataset.classes == ("0", "1")
    assert dataset.inventory.used == {"train": 40, "valid": 40, "test": 40}
    first = dataset.train.images.read(dataset.train.labels.nonzero()[0][:1])
    assert first.shape == (1, 1, 8, 8)
    assert (first[0, 0] == 255).all(dim=0).sum() == 1


def test_the_digest_is_of_what_it_gives() -> None:
    def digest(**settings) -> str:
        dotted = {f"data.settings.{name}": value for name, value in settings.items()}
        return MODALITY.data_digest(small_vision({**DATA, **dotted}))

    assert digest(num_images=40) == digest(num_images=40)
    assert digest(num_images=40) != digest(num_images=41)


def test_where_its_root_lies_is_no_identity(tmp_path) -> None:
    here, there = (
        small_vision({**DATA, "data.root": str(tmp_path / name)}) for name in "ab"
    )
    assert trial_key(here, "0" * 16) == trial_key(there, "0" * 16)


GIVES = """
import numpy as np
def f(root, image_size, channels):
    one = np.zeros((4, channels, image_size, image_size), np.uint8), np.arange(4) % 2
    splits = {"train": one, "valid": one, "test": one}
"""


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("return one", "the splits must be train, valid and test, got <class 'tuple'>"),
        ("return {'train': one}", "got ['train']"),
        ("return splits | {'test': (one[0] / 2, one[1])}", "test must have images of"),
        ("return splits | {'test': (one[0], one[1][:3])}", "test must have labels, a"),
        ("return splits | {'test': (one[0], one[1] + 1)}", "labels must count from 0"),
        ("return splits | {'valid': (one[0][..., 1:], one[1])}", "valid must have im"),
    ],
)
def test_what_is_no_data_is_refused_when_it_is_digested(end, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(f"{GIVES}    {end}\n")
    trial = small_vision({"data.source": "own", "data.function": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        MODALITY.data_digest(trial)
    wanted = "data.function: must be a data source, f(root, image_size, channels) -> "
    assert str(caught.value).startswith(wanted)
    assert message in str(caught.value)
