import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from d2v_core.config import Section, VisionTrial, is_identity, leaves
from d2v_core.config.parsing import sections_in


def all_sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for inner in sections_in(field.annotation):
            found |= all_sections(inner)
    return found


SECTIONS = sorted(all_sections(VisionTrial), key=lambda model: model.__name__)
FIELDS = [(model, name) for model in SECTIONS for name in model.model_fields]


def test_the_walk_finds_the_sections():
    names = {model.__name__ for model in SECTIONS}
    assert {"VisionTrial", "LinearTau", "BlockMask", "FolderData"} <= names


@pytest.mark.parametrize(
    ("model", "name"), FIELDS, ids=[f"{m.__name__}.{n}" for m, n in FIELDS]
)
def test_every_field_has_a_description(model, name):
    field = model.model_fields[name]
    if name not in ("kind", "source"):
        assert field.description


@pytest.mark.parametrize("model", SECTIONS)
def test_every_section_is_frozen_strict_and_described(model):
    assert issubclass(model, Section)
    assert model.__doc__
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["strict"]


def test_a_trial_cannot_be_changed():
    trial = VisionTrial()
    with pytest.raises(ValidationError, match="frozen"):
        trial.seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        trial.target.top_k = 3


def test_only_where_and_how_fast_is_no_identity():
    outside = {
        f"{model.__name__}.{name}"
        for model, name in FIELDS
        if not is_identity(model.model_fields[name])
    }
    assert outside == {
        "ExecutionConfig.device",
        "ExecutionConfig.num_threads",
        "ExecutionConfig.num_gpus",
        "ExecutionConfig.num_workers",
        "ExecutionConfig.log_every",
        "ExecutionConfig.system_metrics",
        "ExecutionConfig.checkpoint_every_seconds",
        "ExecutionConfig.probe_at",
        "ExecutionConfig.prefetch",
        "ExecutionConfig.compile",
        "ExecutionConfig.silence_seconds",
        "FolderData.root",
        "ImagesData.folder",
        "ImagesData.root",
        "OwnImages.root",
        "TorchvisionData.root",
        "TorchvisionData.download",
        "VisionTrial.init_from",
        "VisionTrial.sources",
    }


def test_leaves_are_all_settings_by_dotted_path():
    def walk(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        found = {}
        for key, value in data.items():
            if isinstance(value, dict):
                found |= walk(value, f"{prefix}{key}.")
            else:
                found[f"{prefix}{key}"] = value
        return found

    trial = VisionTrial()
    assert dict(leaves(trial)) == walk(trial.model_dump())


def test_the_defaults_are_the_authors_vit_b_recipe():
    trial = VisionTrial()
    expected = {
        "vision.timm_model": "beit_base_patch16_224",
        "target.top_k": 6,
        "target.feature": "block",
        "target.layer_norm": "layer",
        "target.final_norm": "layer",
        "teacher.tau.value": 0.9998,
        "loss.beta": 2.0,
        "mask.ratio": 0.612,
        "mask.min_patches": 16,
        "optimizer.learning_rate": 2e-3,
        "optimizer.final_learning_rate": 1e-5,
        "optimizer.weight_decay": 0.05,
        "optimizer.max_grad_norm": 3.0,
        "training.batch_size": 2048,
    }
    settings = dict(leaves(trial))
    assert {path: settings[path] for path in expected} == expected


def test_the_schema_is_plain_json():
    schema = VisionTrial.model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["properties"]["seed"]["description"]
