"""examples/wang_isola.py: metrics of one's own, which a study counts by."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ablations.identity import training_key, trial_key
from ablations.library import load_study
from ablations.metrics import metric_of
from d2v_core.build import build_encoder, check_buildable
from d2v_core.errors import ConfigError
from d2v_core.evaluation.own import own_metrics
from d2v_core.evaluation.speech.evaluate import evaluate_speech
from d2v_core.evaluation.text.evaluate import evaluate_texts
from tests.d2v_core.small_speech import small_speech_dataset, small_speech_trial
from tests.d2v_core.small_text import small_text_dataset, small_text_trial
from tests.examples.places import EXAMPLES, small_vision, trained

METRICS = ["wang_isola.py:uniformity", "wang_isola.py:alignment"]
OWN = {"evaluation.metrics": METRICS}


def test_the_numbers_are_those_of_the_paper() -> None:
    trial = small_vision(OWN)
    measures = own_metrics(trial, trial.evaluation.metrics)
    features = np.array([[2, 0], [0, 3], [-1, 0], [0, -5]], np.float32)
    labels = np.array([0, 0, 1, 1])
    # Each point has two others at a right angle and one opposite.
    expected = math.log((2 * math.exp(-4) + math.exp(-8)) / 3)
    found = {name: measure(features, labels) for name, measure in measures.items()}
    assert found == pytest.approx(
        {"eval/own_uniformity": expected, "eval/own_alignment": 2.0}
    )


def test_they_are_logged_and_a_study_counts_by_one() -> None:
    trial = small_vision(OWN)
    _, metrics = trained(trial)
    assert 0.0 < metrics["eval/own_alignment"] < 4.0
    assert -8.0 < metrics["eval/own_uniformity"] < 0.0
    study = load_study(str(EXAMPLES / "metric.yaml"))
    chosen = study.model_dump(mode="json")["metric"]["vision"]
    assert metric_of("vision", chosen).logged_as in metrics


def test_speech_and_text_have_them_too() -> None:
    """A metric sees as many samples as there are, with the labels that they have."""
    seen: dict[str, tuple[tuple[int, ...], list[int]]] = {}

    def shape(features: np.ndarray, labels: np.ndarray) -> float:
        seen[where] = features.shape, labels.tolist()
        return 1.0

    where = "speech"
    speech = small_speech_trial({"evaluation": {"utterance_label": "speaker"}})
    plain = small_speech_dataset()
    spoken = {
        name: replace(split, labels={"speaker": tuple("ba" * len(split))[: len(split)]})
        for name in ("train", "valid", "test")
        for split in [getattr(plain, name)]
    }
    data = replace(plain, **spoken)
    evaluation = evaluate_speech(
        build_encoder(speech),
        data,
        speech.evaluation,
        seed=0,
        waveform=speech.waveform,
        own_metrics={"eval/own_shape": shape},
    )
    assert evaluation.metrics["eval/own_shape"] == 1.0
    speakers = data.valid.labels["speaker"]
    assert seen[where][0] == (len(data.valid), 16)
    assert seen[where][1] == [sorted(set(speakers)).index(s) for s in speakers]

    where = "text"
    text = small_text_trial()
    corpus = small_text_dataset()
    evaluation = evaluate_texts(
        build_encoder(text),
        corpus,
        text.evaluation,
        seed=0,
        own_metrics={"eval/own_shape": shape},
    )
    assert evaluation.metrics["eval/own_shape"] == 1.0
    assert seen[where][0] == (len(corpus.rows), text.text.width)
    assert seen[where][1][: len(corpus.labels)] == corpus.labels.tolist()


def test_another_metric_is_an_evaluation_and_no_training() -> None:
    plain, own = small_vision({}), small_vision(OWN)
    assert training_key(plain, "0" * 16) == training_key(own, "0" * 16)
    assert trial_key(plain, "0" * 16) != trial_key(own, "0" * 16)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(features, labels): return features", "TypeError: only"),
        ("def f(features, labels): return float('nan')", "gave nan"),
        ("def f(features): return 1.0", "too many positional arguments"),
    ],
)
def test_what_is_no_metric_is_refused(source, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(source)
    trial = small_vision({"evaluation.metrics": ["mine.py:f"]}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    wanted = "evaluation.metrics: must be a metric, f(features, labels) -> finite float"
    assert str(caught.value).startswith(wanted)
    assert message in str(caught.value)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be functions of different names"):
        small_vision({"evaluation.metrics": METRICS[:1] * 2})
