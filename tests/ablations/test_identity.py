import hashlib
import json
from typing import Literal

import pytest

from ablations.identity import identity_settings, training_key, trial_key
from ablations.layers import Layer, resolve
from d2v_core.config import Section, TargetConfig, VisionTrial
from d2v_core.config.base import execution_field

DIGEST = "0123456789abcdef"


def trial(**settings):
    dotted = {path.replace("__", "."): value for path, value in settings.items()}
    base = {"data.source": "digits"}
    return resolve("vision", [Layer.from_dotted(base | dotted, lambda path: "test")])


def key(**settings):
    return trial_key(trial(**settings), DIGEST)


def test_the_keys_of_a_small_configuration_are_pinned():
    # A change here makes everyone train everything again: raise SCHEMA_VERSION instead
    # when the meaning of a setting changes, and never otherwise.
    expected = {
        "data": DIGEST,
        "schema": 4,
        "settings": {
            "data": {"source": "digits"},
            "loss": {"kind": "smooth_l1"},
            "mask": {"kind": "block"},
            "modality": "vision",
            "objective": {"kind": "data2vec"},
            "augmentation": {"kind": "none"},
            "seed": 7,
            "target": {"top_k": 3},
            "teacher": {"tau": {"kind": "constant", "value": 0.9}},
        },
    }
    settings = {"seed": 7, "target__top_k": 3, "teacher__tau__value": 0.9}
    assert identity_settings(trial(**settings)) == expected["settings"]
    assert training_key(trial(**settings), DIGEST) == hashed(expected)
    assert training_key(trial(**settings), DIGEST) == "2c83101bd5379728"
    evaluated = {"num_labels": 50}
    result = {"data": DIGEST, "training": "2c83101bd5379728", "evaluation": evaluated}
    assert key(**settings, evaluation__num_labels=50) == hashed(result)
    assert key(**settings, evaluation__num_labels=50) == "a31c896ef0bbd717"


def test_an_evaluation_changes_the_result_and_not_the_weights():
    plain, other = trial(), trial(evaluation__num_labels=50)
    assert training_key(plain, DIGEST) == training_key(other, DIGEST)
    assert key() != key(evaluation__num_labels=50)
    assert training_key(plain, DIGEST) != training_key(trial(seed=1), DIGEST)
    assert training_key(plain, DIGEST) != training_key(plain, "1" * 16)


def hashed(content):
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "setting",
    [
        {"execution__device": "cpu"},
        {"execution__num_threads": 8},
        {"execution__num_gpus": 0.5},
        {"execution__log_every": 1},
        {"execution__checkpoint_every_seconds": 1.0},
    ],
)
def test_where_and_how_fast_does_not_change_the_key(setting):
    assert key(**setting) == key()


def test_where_the_data_lies_does_not_change_the_key():
    folder = {"data__source": "image_folder"}
    assert key(**folder, data__root="/a") == key(**folder, data__root="/b")
    cifar = {"data__source": "cifar10"}
    assert key(**cifar, data__download=True) == key(**cifar)
    assert key(**cifar) != key(data__source="cifar100")


def test_a_default_spelled_out_does_not_change_the_key():
    spelled = {
        "target__top_k": 6,
        "loss__beta": 2,
        "optimizer__learning_rate": 0.002,
        "vision__depth": None,
        "teacher__tau": {"kind": "constant", "value": 0.9998},
        "teacher__shares": [],
        "teacher__context": None,
        "target__num_groups": 1,
        "loss__scale": 1.0,
        "optimizer__hold": 0,
        "vision__init": "reference",
        "head__init": "reference",
    }
    assert key(**spelled) == key()


def test_a_whole_number_and_the_same_float_have_one_key():
    assert key(optimizer__learning_rate=1) == key(optimizer__learning_rate=1.0)
    assert key(optimizer__warmup=1) != key(optimizer__warmup=1.0)


@pytest.mark.parametrize(
    "setting",
    [
        {"seed": 1},
        {"target__top_k": 5},
        {"target__feature": "ffn"},
        {"teacher__tau__value": 0.9},
        {"teacher__tau": {"kind": "linear"}},
        {"loss__kind": "l2"},
        {"mask__ratio": 0.5},
        {"mask__kind": "random"},
        {"head__depth": 2},
        {"head__init": "timm"},
        {"vision__init": "timm"},
        {"augmentation__kind": "shift"},
        {"vision__depth": 12},
        {"optimizer__max_grad_norm": None},
        {"training__num_steps": 10},
        {"evaluation__l2_grid": [0.1]},
        {"health__on_collapse": "continue"},
        {"objective__kind": "supervised"},
        {"teacher__tau": {"kind": "cosine"}},
        {"teacher__shares": ["positions"]},
        {"teacher__context": 0.5},
        {"target__layer_norm": "group"},
        {"target__layer_norm": "group", "target__num_groups": 2},
        {"loss__scale": "sum"},
        {"optimizer__decay": "tri_stage", "optimizer__hold": 0.9},
    ],
)
def test_whatever_determines_the_result_changes_the_key(setting):
    assert key(**setting) != key()


def test_the_data_changes_the_key():
    assert trial_key(trial(), DIGEST) != trial_key(trial(), DIGEST[::-1])


UNUSED_UNTRAINED = {
    "target__top_k": 1,
    "teacher__tau__value": 0.5,
    "loss__kind": "l1",
    "mask__ratio": 0.1,
    "head__depth": 3,
    "health__after": 7,
    "augmentation__kind": "shift",
    "optimizer__learning_rate": 1.0,
    "training__num_steps": 3,
}


@pytest.mark.parametrize("name", UNUSED_UNTRAINED)
def test_what_an_untrained_encoder_does_not_use_does_not_change_its_key(name):
    setting = {name: UNUSED_UNTRAINED[name]}
    untrained = {"objective__kind": "untrained"}
    assert key(**untrained, **setting) == key(**untrained)


def test_what_an_untrained_encoder_uses_changes_its_key():
    untrained = {"objective__kind": "untrained"}
    for setting in (
        {"seed": 1},
        {"vision__width": 12},
        {"evaluation__pooling": "concatenate"},
    ):
        assert key(**untrained, **setting) != key(**untrained)


def test_a_supervised_encoder_uses_its_training_but_no_targets():
    supervised = {"objective__kind": "supervised"}
    for name in ("target__top_k", "teacher__tau__value", "mask__ratio", "head__depth"):
        assert key(**supervised, **{name: UNUSED_UNTRAINED[name]}) == key(**supervised)
    for name in (
        "optimizer__learning_rate",
        "training__num_steps",
        "augmentation__kind",
        "objective__label_smoothing",
    ):
        value = UNUSED_UNTRAINED.get(name, 0.1)
        assert key(**supervised, **{name: value}) != key(**supervised)


class NewTarget(TargetConfig):
    """A later version of the section."""

    novelty: float = 0.5
    """A new setting with a default."""
    cache: bool = execution_field(False)
    """A new setting about how fast."""


class NewSection(Section):
    """A section that did not exist."""

    kind: Literal["off", "on"] = "off"
    """A new choice."""


class NewTrial(VisionTrial):
    """A later version of the trial."""

    target: NewTarget = NewTarget()
    """The same section with more settings."""
    note: str | None = None
    """A new setting at the top."""


def test_a_new_setting_with_a_default_keeps_all_keys():
    old = trial(target__top_k=3)
    new = NewTrial.model_validate(old.model_dump(mode="json"))
    assert trial_key(new, DIGEST) == trial_key(old, DIGEST)


def test_a_new_setting_that_is_used_changes_the_key():
    data = trial().model_dump(mode="json")
    data["target"]["novelty"] = 0.25
    assert trial_key(NewTrial.model_validate(data), DIGEST) != key()
    data["target"].update(novelty=0.5, cache=True)
    assert trial_key(NewTrial.model_validate(data), DIGEST) == key()


def test_keys_do_not_depend_on_the_order_of_settings():
    a = trial_key(trial(seed=1, target__top_k=2), DIGEST)
    assert a == trial_key(trial(target__top_k=2, seed=1), DIGEST)
    assert len(a) == 16
    assert int(a, 16) >= 0
