"""``d2v train --checkpoint`` leaves what ``d2v export`` opens to others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModel, Data2VecVisionModel, ViTMAEModel

from d2v_cli.recipe import resolve_recipe
from d2v_core.build import build_objective
from d2v_core.config import VisionTrial
from d2v_core.encoders.timm_vision import VisionEncoder
from d2v_core.modalities.vision import MODALITY as VISION
from d2v_core.training.checkpoint import read_checkpoint
from tests.sweeps.command import TINY, Done, d2v_here

SETTINGS = (
    *(*TINY, "--set=vision.width=16", "--set=execution.num_threads=1"),
    "--set=teacher.tau.horizon=1.0",  # in few updates 3 % of them is none
)


class Command(Protocol):
    """Runs ``d2v`` in the test's folder, inside this process."""

    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    def call(*arguments: str) -> Done:
        # typer's exit codes and our own alike; see command.py
        return d2v_here(tmp_path, *arguments, monkeypatch=monkeypatch, capsys=capsys)

    return call


def train(run: Command, *settings: str) -> Done:
    done = run("train", "vision-smoke", "--checkpoint=c.pt", *SETTINGS, *settings)
    assert done.code == 0, done.err
    return done


def export(run: Command, *options: str, to: str = "hf") -> Done:
    recipe = ("--recipe=vision-smoke", *SETTINGS)
    return run("export", "c.pt", *recipe, f"--to={to}", "--out=out", *options)


def trained(
    folder: Path, network: str, *settings: str
) -> tuple[VisionEncoder, VisionTrial]:
    """The network of the checkpoint, put together without the command."""
    assignments = tuple(
        option.removeprefix("--set=") for option in (*SETTINGS, *settings)
    )
    trial = resolve_recipe(
        "vision-smoke", seed=0, assignments=assignments, data_root=None
    )
    content = read_checkpoint(folder / "c.pt", torch.device("cpu"))
    encoder = build_objective(trial, num_classes=10).network("student")
    inside = "encoder."
    weights = content["extra"] or {}
    if network == "student":
        weights = {
            name.removeprefix(inside): tensor
            for name, tensor in content["module"].items()
            if name.startswith(inside)
        }
    encoder.load_state_dict(weights)
    assert isinstance(encoder, VisionEncoder)
    return encoder.eval(), trial


@torch.no_grad()
def hf_tokens(folder: Path, images: torch.Tensor) -> torch.Tensor:
    model = AutoModel.from_pretrained(folder)
    assert isinstance(model, Data2VecVisionModel)
    tokens: torch.Tensor = model(images).last_hidden_state
    return tokens


def numbers(done: Done) -> list[str]:
    return [line for line in done.out.splitlines() if line.startswith("  eval/")]


def test_the_final_state_is_kept_and_continuing_from_it_trains_nothing(
    tmp_path: Path, run: Command
) -> None:
    first = train(run)
    content = read_checkpoint(tmp_path / "c.pt", torch.device("cpu"))
    assert content["step"] == 6
    again = train(run)
    assert "6 updates, resumed at 6" in again.out
    assert "ETA" in first.out
    assert "ETA" not in again.out
    assert numbers(again) == numbers(first) != []


def test_a_collapse_that_ended_the_training_is_not_trained_on(
    run: Command,
) -> None:
    settings = ("--set=health.min_target_std=1000", "--set=health.after=2")
    first = train(run, *settings)
    assert "collapsed after" in first.out
    again = train(run, *settings)
    assert "ETA" not in again.out
    assert numbers(again) == numbers(first) != []


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_a_trained_network_is_opened_by_hugging_face(
    network: str, tmp_path: Path, run: Command
) -> None:
    train(run)
    done = export(run, f"--network={network}")
    assert done.code == 0, done.err
    assert f"exported the {network} after 6 updates to out" in done.out
    opened = "transformers.AutoModel.from_pretrained('out'), which gives a Data2Vec"
    assert opened in done.out
    encoder, trial = trained(tmp_path, network)
    data = VISION.load_data(trial)
    pixels = data.test.images.read(torch.arange(5).numpy())
    images = AutoImageProcessor.from_pretrained(tmp_path / "out")(
        pixels, return_tensors="pt"
    )["pixel_values"]
    torch.testing.assert_close(images, data.normalise(pixels), atol=1e-5, rtol=0.0)
    with torch.no_grad():
        expected = encoder.all_tokens(images)
    torch.testing.assert_close(
        hf_tokens(tmp_path / "out", images), expected, atol=1e-4, rtol=0.0
    )


def test_student_and_teacher_are_different_networks(
    tmp_path: Path, run: Command
) -> None:
    train(run)
    both = []
    for network in ("student", "teacher"):
        assert export(run, f"--network={network}", to="timm").code == 0
        both.append(load_file(tmp_path / "out" / "model.safetensors"))
    assert set(both[0]) == set(both[1])
    assert any(not torch.equal(both[0][name], both[1][name]) for name in both[0])


def test_a_trained_network_is_opened_by_timm(tmp_path: Path, run: Command) -> None:
    train(run)
    done = export(run, to="timm")
    assert done.code == 0, done.err
    assert "timm.create_model('local-dir:out', pretrained=True)" in done.out
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    vit = timm.create_model(config["architecture"], **config["model_args"])
    vit.load_state_dict(load_file(tmp_path / "out" / "model.safetensors"), strict=True)
    encoder, trial = trained(tmp_path, "student")
    assert config["pretrained_cfg"]["mean"] == list(VISION.load_data(trial).mean)
    images = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        expected = encoder.all_tokens(images)
        assert torch.equal(vit.eval().forward_features(images), expected)


@pytest.mark.parametrize("kind", ["supervised", "untrained"])
def test_reference_arms_are_exported_too(
    kind: str, tmp_path: Path, run: Command
) -> None:
    setting = f"--set=objective.kind={kind}"
    train(run, setting)
    assert export(run, setting).code == 0
    encoder, _ = trained(tmp_path, "student", setting)
    images = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        expected = encoder.all_tokens(images)
    tokens = hf_tokens(tmp_path / "out", images)
    torch.testing.assert_close(tokens, expected, atol=1e-4, rtol=0.0)


def test_an_encoder_of_mae_is_opened_by_the_class_of_its_method(
    tmp_path: Path, run: Command
) -> None:
    setting = "--set=objective.kind=pixels"
    train(run, setting)
    done = export(run, setting)
    assert done.code == 0, done.err
    assert "from_pretrained('out'), which gives a ViTMAEModel" in done.out
    assert "it shuffles patches in every pass; to keep their order, call" in done.out
    model = AutoModel.from_pretrained(tmp_path / "out")
    assert isinstance(model, ViTMAEModel)
    encoder, _ = trained(tmp_path, "student", setting)
    images, num_patches = torch.randn(2, 1, 8, 8), encoder.grid[0] * encoder.grid[1]
    noise = torch.arange(num_patches).expand(len(images), -1)
    with torch.no_grad():
        expected = encoder.all_tokens(images)
        tokens = model(images, noise=noise).last_hidden_state
    torch.testing.assert_close(tokens, expected, atol=1e-4, rtol=0.0)


def test_mistakes_are_named_and_nothing_is_written(
    tmp_path: Path, run: Command
) -> None:
    wrong = export(run, "--network=tutor", to="onnx")
    assert (wrong.code, wrong.out) == (2, "")
    assert "--to: must be one of hf, mlflow, timm, got 'onnx'" in wrong.err
    assert "--network: must be one of student, teacher, got 'tutor'" in wrong.err

    missing = export(run)
    assert missing.code == 2
    assert "checkpoint: no such file 'c.pt'; d2v train --checkpoint" in missing.err

    (tmp_path / "c.pt").write_text("weights")
    broken = export(run)
    assert broken.code == 2
    assert "checkpoint: c.pt: must be a checkpoint that d2v train" in broken.err

    train_over = run("train", "vision-smoke", "--checkpoint=c.pt", *SETTINGS)
    assert train_over.code == 2
    assert "c.pt: must be a checkpoint that d2v train" in train_over.err
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_the_checkpoint_or_the_format_is_named(
    tmp_path: Path, run: Command
) -> None:
    train(run, "--set=vision.timm_model=vit_medium_patch16_gap_240")
    other = export(run)
    assert other.code == 2
    says = "checkpoint: c.pt: must have been written with the same recipe and --set"
    assert says in other.err
    train_over = run("train", "vision-smoke", "--checkpoint=c.pt", *SETTINGS)
    assert train_over.code == 2
    assert says in train_over.err

    refused = export(run, "--set=vision.timm_model=vit_medium_patch16_gap_240")
    assert refused.code == 2
    assert "--to hf: Hugging Face's Data2VecVisionModel cannot express" in refused.err
    assert "it has no class token; try --to timm or --to mlflow" in refused.err
    assert not (tmp_path / "out").exists()

    (tmp_path / "out").write_text("")
    taken = export(run, "--set=vision.timm_model=vit_medium_patch16_gap_240", to="timm")
    assert taken.code == 2
    assert "--out: must be a folder, 'out' is a file" in taken.err


OTHERS = {
    "text": ("--set=text.width=16",),
    "speech": (
        "--set=speech.front_end.kind=wav2vec2",
        "--set=speech.front_end.channels=16",
        "--set=speech.width=16",
        "--set=data.num_train=40",
        "--set=data.num_valid=20",
        "--set=data.num_test=20",
        "--set=evaluation.num_labels=20",
        "--set=evaluation.ctc_probe.num_steps=2",
        "--set=evaluation.ctc_probe.learning_rates=[0.1]",
    ),
}


@pytest.mark.parametrize("modality", OTHERS)
def test_the_other_modalities_are_opened_by_hugging_face_too(
    modality: str, tmp_path: Path, run: Command
) -> None:
    recipe = f"{modality}-smoke"
    settings = ("--set=training.num_steps=2", *OTHERS[modality])
    done = run("train", recipe, "--checkpoint=c.pt", *settings)
    assert done.code == 0, done.err
    done = run(
        "export", "c.pt", f"--recipe={recipe}", *settings, "--to=hf", "--out=out"
    )
    assert done.code == 0, done.err
    model = AutoModel.from_pretrained(tmp_path / "out")
    assert model.config.model_type == {"speech": "data2vec-audio"}.get(
        modality, "data2vec-text"
    )
    assert model.config.hidden_size == 16


def test_a_front_end_hugging_face_does_not_have_is_refused(run: Command) -> None:
    settings = ("--set=training.num_steps=1", *OTHERS["speech"][3:])
    assert run("train", "speech-smoke", "--checkpoint=c.pt", *settings).code == 0
    options = ("--recipe=speech-smoke", *settings, "--to=hf", "--out=out")
    done = run("export", "c.pt", *options)
    assert done.code == 2
    assert "its front end is a LogMelFrontEnd, it must be wav2vec 2.0" in done.err
