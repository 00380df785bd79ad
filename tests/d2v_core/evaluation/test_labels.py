import numpy as np
import pytest

from d2v_core.config.training import EvaluationConfig
from d2v_core.errors import ConfigError
from d2v_core.evaluation.labels import balanced, check_num_labels, label_draws, uniform

LABELS = np.arange(60) % 3


def config(**changes):
    return EvaluationConfig.model_validate(changes)


def test_draw_r_is_the_same_however_many_there_are():
    ten = label_draws(
        balanced(LABELS), config(num_labels=12, num_label_draws=10), seed=3
    )
    two = label_draws(
        balanced(LABELS), config(num_labels=12, num_label_draws=2), seed=3
    )
    assert len(ten) == 10
    assert all(np.array_equal(a, b) for a, b in zip(ten, two, strict=False))
    assert len({tuple(draw) for draw in ten}) == 10
    assert all(np.bincount(LABELS[draw]).tolist() == [4, 4, 4] for draw in ten)


def test_seeds_and_streams_draw_others():
    one = config(num_labels=12)
    draws = [
        label_draws(balanced(LABELS), one, **options)[0].tolist()
        for options in ({"seed": 0}, {"seed": 1}, {"seed": 0, "stream": "others"})
    ]
    assert draws[0] != draws[1]
    assert draws[0] != draws[2]


def test_all_labels_are_no_draw():
    assert label_draws(uniform(60), config(), seed=0) is None
    (draw,) = label_draws(uniform(60), config(num_labels=60), seed=0)
    assert draw.tolist() == list(range(60))


def test_more_labels_than_there_are_are_refused():
    check_num_labels(config(), {"train": 5})
    check_num_labels(config(num_labels=60), {"train": 60})
    with pytest.raises(ConfigError) as error:
        check_num_labels(config(num_labels=61), {"cola": 60, "trec": 100})
    assert str(error.value) == (
        "evaluation.num_labels: must be at most the labelled training samples, or null "
        "for all; cola has 60, got 61"
    )


def test_draws_that_would_all_be_the_same_are_refused():
    with pytest.raises(ConfigError) as error:
        check_num_labels(config(num_labels=60, num_label_draws=2), {"train": 60})
    assert str(error.value) == (
        "evaluation.num_label_draws: must be 1 where evaluation.num_labels is all of "
        "train, as all draws would be the same, got 2"
    )
