"""An encoder can begin with weights from a file; these, not the place, are its key."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from ablations.identity import training_key
from ablations.layers import Layer, resolve, set_layer
from ablations.study.arms import Request
from d2v_core.build import build_encoder, build_objective, check_buildable
from d2v_core.config import parse_trial
from d2v_core.errors import ConfigError
from d2v_core.export.timm_folder import export_timm
from d2v_core.kept_files import write_kept
from sweeps.plan.planning import plan_study
from tests.d2v_core.small import SMALL


def trial(**changed: Any):
    return parse_trial({**copy.deepcopy(SMALL), **changed})


def beginning(place: Path | str, **changed: Any):
    """The student's weights before the first update."""
    objective = build_objective(trial(init_from=str(place), **changed), num_classes=0)
    return objective.network("student").state_dict()


@pytest.fixture
def other_weights() -> dict[str, torch.Tensor]:
    """Those of another seed."""
    return build_encoder(trial(seed=99)).state_dict()


def kept(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    write_kept(folder, {"trial": {}}, {"student": weights})
    return folder


def test_a_kept_encoder_is_where_student_and_teacher_begin(tmp_path, other_weights):
    folder = kept(tmp_path / "kept", other_weights)
    objective = build_objective(trial(init_from=str(folder)), num_classes=0)
    for network in ("student", "teacher"):
        found = objective.network(network).state_dict()
        assert found.keys() == other_weights.keys()
        for name, value in found.items():
            assert torch.equal(value, other_weights[name]), name


def test_what_we_export_to_timm_can_be_begun_with_but_for_the_mask_token(tmp_path):
    encoder = build_encoder(trial(seed=99))
    export_timm(encoder, tmp_path / "out")
    found, fresh = beginning(tmp_path / "out"), build_encoder(trial()).state_dict()
    wanted = encoder.state_dict()
    for name, value in found.items():
        source = fresh if name == "mask_token" else wanted
        assert torch.equal(value, source[name]), name


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_a_file_of_timms_weights_with_a_classifier_serves(tmp_path, suffix):
    vit = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=8,
        patch_size=2,
        in_chans=1,
        embed_dim=16,
        depth=3,
        num_heads=2,
        mlp_ratio=2.0,
        num_classes=7,
    )
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(vit.state_dict(), file)
    else:
        torch.save({"state_dict": vit.state_dict()}, file)
    found = beginning(file)
    for name, value in vit.state_dict().items():
        if "head" not in name:
            assert torch.equal(found[f"vit.{name}"], value), name


def test_a_timm_model_by_name_is_taken_from_the_cache(tmp_path, monkeypatch):
    """As ``hf download`` lays it out; nothing is asked for over the network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    vision = {"timm_model": name.partition(".")[0]}
    tiny = parse_trial({"modality": "vision", "vision": vision})
    begun = parse_trial(tiny.model_dump(mode="json") | {"init_from": f"timm:{name}"})
    with pytest.raises(ConfigError, match="is not in Hugging Face's cache; download"):
        check_buildable(begun)
    repository = timm.get_pretrained_cfg(name).hf_hub_id
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    vit = timm.create_model(name.partition(".")[0])
    save_file(vit.state_dict(), snapshot / "model.safetensors")
    assert training_key(begun, "data") != training_key(tiny, "data")
    found = build_objective(begun, num_classes=0).network("student").state_dict()
    wanted = vit.state_dict()["blocks.3.mlp.fc1.weight"]
    assert torch.equal(found["vit.blocks.3.mlp.fc1.weight"], wanted)
    for none in ("no_such_model", "vit_tiny_patch16_224.no_such_tag", ""):
        with pytest.raises(ConfigError, match="must name a timm model with weights"):
            check_buildable(trial(init_from=f"timm:{none}"))


def test_arms_of_a_study_begin_with_it(tmp_path, other_weights, monkeypatch):
    """From scratch, from the weights, and the weights as they are: three keys."""
    monkeypatch.chdir(tmp_path)
    kept(tmp_path / "mine", other_weights)
    (tmp_path / "study.yaml").write_text(STUDY)
    recipe = {k: v for k, v in SMALL.items() if k != "seed"}
    (tmp_path / "tiny.yaml").write_text(json.dumps(recipe))
    request = Request("vision", "tiny", seeds=(0,), recipe=str(tmp_path / "tiny.yaml"))
    plan = plan_study(str(tmp_path / "study.yaml"), request)
    begins = {cell.arm.label: cell.trial.init_from for cell in plan.cells}
    place = str(tmp_path / "mine")
    assert begins == {"scratch": None, "from mine": place, "mine as it is": place}
    assert len({cell.training for cell in plan.cells}) == 3


STUDY = """
name: own_start
title: Where to begin
arms:
  - {name: scratch}
  - {name: from mine, set: {init_from: mine}}
  - {name: mine as it is, set: {init_from: mine, objective.kind: untrained}}
seeds: 1
metric: {vision: linear_accuracy}
"""


def test_the_key_follows_the_weights_and_not_the_place(tmp_path, other_weights):
    here, there = tmp_path / "a", tmp_path / "b"
    kept(here, other_weights)
    shutil.copytree(here, there)
    keys = [
        training_key(trial(init_from=str(place) if place else None), "data")
        for place in (None, here, there)
    ]
    assert keys[0] != keys[1] == keys[2]
    kept(there, build_encoder(trial(seed=98)).state_dict())
    assert training_key(trial(init_from=str(there)), "data") != keys[1]


def test_a_relative_path_is_seen_from_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Layer({**SMALL, "init_from": "w.pth"}, str, folder=tmp_path / "recipes")
    assert resolve("vision", [recipe]).init_from == str(tmp_path / "recipes" / "w.pth")
    typed = resolve("vision", [recipe, set_layer({"init_from": "w.pth"})])
    assert typed.init_from == str(tmp_path / "w.pth")


def broken(what: str, folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    """Something that is no weights of this encoder."""
    file = folder / "weights.safetensors"
    match what:
        case "nothing there":
            return folder / "absent.safetensors"
        case "empty folder":
            (folder / "empty").mkdir()
            return folder / "empty"
        case "a text":
            file = folder / "notes.txt"
            file.write_text("no weights")
        case "cut short":
            save_file(weights, file)
            file.write_bytes(file.read_bytes()[:100])
        case "a torn kept encoder":
            kept(folder / "kept", weights)
            torn = folder / "kept" / "student.safetensors"
            torn.write_bytes(torn.read_bytes()[:-1])
            return torn.parent
        case "a pickle of code":
            file = folder / "weights.pth"
            torch.save({"state_dict": print}, file)
        case "another width":
            other = trial(vision={**SMALL["vision"], "width": 32})
            save_file(build_encoder(other).state_dict(), file)
        case "fewer blocks":
            other = trial(vision={**SMALL["vision"], "depth": 2})
            save_file(build_encoder(other).state_dict(), file)
    return file


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nothing there", "must be a folder that holds student.safetensors"),
        ("empty folder", "must be a folder that holds student.safetensors"),
        ("a text", "a file \\*.safetensors, \\*.pth"),
        ("cut short", "cannot be read"),
        ("a torn kept encoder", "student.safetensors has .* bytes"),
        ("a pickle of code", "cannot be read"),
        ("another width", "is \\(32,?.*must be \\(16"),
        ("fewer blocks", "weights of blocks are missing: vit.blocks.2"),
    ],
)
def test_what_cannot_be_begun_with_is_told_before_anything_starts(
    tmp_path, other_weights, what, said
):
    place = broken(what, tmp_path, other_weights)
    with pytest.raises(ConfigError, match=f"^init_from: .*{said}"):
        check_buildable(trial(init_from=str(place)))
