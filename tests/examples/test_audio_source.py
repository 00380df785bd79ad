"""examples/tones.py: an audio source of one's own."""

import pytest

from d2v_core.errors import ConfigError, DataError
from d2v_core.modalities.speech import MODALITY
from tests.d2v_core.small_speech import SMALL_SPEECH
from tests.examples.places import EXAMPLES, own_trial, trained

DATA = {"data.source": "own", "data.function": "tones.py:tones"}
ASKED = {
    "evaluation.method": "none",
    "evaluation.utterance_label": "label",
    "waveform.max_seconds": 0.5,
}


def small(settings, folder=EXAMPLES):
    return own_trial({**DATA, **ASKED, **settings}, folder, SMALL_SPEECH)


def test_it_trains_and_a_probe_tells_the_tones_apart() -> None:
    losses, metrics = trained(small({}))
    assert len(losses) > 1
    assert metrics["eval/linear_accuracy"] > 60.0


def test_the_data_is_what_the_example_gives() -> None:
    dataset = MODALITY.load_data(small({"data.settings.num_waves": 10}))
    assert dataset.name == "tones.py:tones"
    assert dataset.inventory.used == {"train": 10, "valid": 10, "test": 10}
    assert set(dataset.train.labels["label"]) == {"200 Hz", "800 Hz"}
    assert dataset.train.audio.lengths.min() >= 8_000


def test_the_digest_is_of_what_it_gives() -> None:
    first, same, other = (
        MODALITY.data_digest(small({"data.settings.num_waves": n})) for n in (8, 8, 9)
    )
    assert first == same != other


def test_waves_too_short_for_a_frame_are_refused_before_training(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def f(root):\n"
        "    one = {'waves': [np.ones(9000), np.ones(7)], 'labels': ['a', 'b']}\n"
        "    return {'train': one, 'valid': one, 'test': one}\n"
    )
    trial = small({"data.function": "mine.py:f"}, tmp_path)
    with pytest.raises(DataError, match="the shortest of train has 7; leave it out"):
        MODALITY.load_data(trial)


GIVES = """
import numpy as np
def f(root):
    one = {"waves": [np.ones(9000), np.ones(9100)], "labels": ["a", "b"]}
    splits = {"train": one, "valid": one, "test": one}
"""


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("return one", "the splits must be train, valid and test"),
        ("return splits | {'test': {}}", "test must be a mapping with waves"),
        ("return splits | {'test': {'waves': []}}", "test must have waves, has none"),
        ("return splits | {'test': {'waves': [[1]]}}", "wave 0 must be floats of one"),
        ("return splits | {'test': {'waves': [np.ones(3) / 0]}}", "must be finite"),
        ("return splits | {'test': one | {'labels': 'a'}}", "as many labels as waves"),
        ("return splits | {'test': {'waves': one['waves']}}", "all splits must have"),
    ],
)
def test_what_is_no_audio_is_refused_when_it_is_digested(end, message, tmp_path):
    source = GIVES.replace("import numpy", "import warnings, numpy")
    ignored = '    warnings.simplefilter("ignore")\n'
    (tmp_path / "mine.py").write_text(f"{source}{ignored}    {end}\n")
    trial = small({"data.function": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        MODALITY.data_digest(trial)
    assert str(caught.value).startswith(
        "data.function: must be an audio source, f(root)"
    )
    assert message in str(caught.value)
