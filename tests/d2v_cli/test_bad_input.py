"""Every mistake is one clear message with exit code 2, and nothing is written."""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from ablations.library import RECIPES
from ablations.study.validation import check_study_file
from d2v_core.errors import ConfigError
from tests.sweeps.command import Done, d2v, d2v_here

STUDY = """
name: mine
title: Mine
axis: {setting: target.top_k, label: K, values: [1, 2]}
seeds: 2
metric: {vision: linear_accuracy}
"""


class Refused(Protocol):
    """Runs a command in the test's folder and checks that it is refused cleanly."""

    def __call__(self, *arguments: str, says: Sequence[str], **extra: str) -> None: ...


@pytest.fixture
def refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refused:
    def check(*arguments: str, says: Sequence[str], **extra: str) -> None:
        done = d2v_here(
            tmp_path, *arguments, monkeypatch=monkeypatch, capsys=capsys, **extra
        )
        assert_refused(done, tmp_path, *says)

    return check


def written(folder: Path) -> list[str]:
    """Files that appeared, those left out that a test itself has given."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "given" not in path.parts
    ]


def assert_refused(done: Done, folder: Path, *parts: str) -> None:
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.out + done.err
    for part in parts:
        assert part in done.err
    assert written(folder) == []


def write_study(folder: Path, text: str) -> str:
    file = folder / "given" / "mine.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return str(file)


def test_every_mistake_of_a_study_file_is_named_at_once(tmp_path: Path) -> None:
    """Once as a user would, in a process of its own."""
    text = (
        STUDY.replace("title:", "titel:")
        .replace("seeds: 2", "seeds: []")
        .replace("linear_accuracy", "linear_acuracy")
        .replace("target.top_k", "target.topk")
    )
    file = write_study(tmp_path, text)
    assert_refused(
        d2v(tmp_path, "run", file),
        tmp_path,
        f"{file}:3:1: titel: unknown setting; did you mean 'title'?",
        f"{file}:2:1: title: is required and was not given",
        f"{file}:4:8: axis.setting: must name a setting, got 'target.topk'; did you "
        "mean 'top_k'?",
        f"{file}:5:1: seeds: must be at least one seed, a count or a list, got []",
        f"{file}:6:10: metric.vision: must be one of accuracy, fine_tuned_accuracy, "
        "knn_accuracy, knn_accuracy_all_labels, linear_accuracy, "
        "linear_accuracy_all_labels, rankme, got 'linear_acuracy'; did you mean "
        "'linear_accuracy'?",
    )


def test_a_duplicate_key_is_refused_with_both_places(
    tmp_path: Path, refused: Refused
) -> None:
    file = write_study(tmp_path, STUDY + "seeds: 3\n")
    refused("run", file, says=[f"{file}:7:1: seeds: stands twice, first at 5:1"])


def test_k_above_the_depth_names_the_arm(tmp_path: Path, refused: Refused) -> None:
    file = write_study(tmp_path, STUDY.replace("[1, 2]", "[1, 9]"))
    rule = "target.top_k: must be at most the encoder's depth (8), got 9"
    refused("run", file, says=[f"study mine: arm 'K=9': {rule}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "study: must be one of"),
        (["layer_averagin"], "did you mean 'layer_averaging'?"),
        (["layer_averaging", "--scale", "smok"], "did you mean 'vision-smoke'?"),
        (["layer_averaging", "--modality", "visoin"], "did you mean 'vision'?"),
        (["layer_averaging", "--set", "target.top_k"], "must have the form path=value"),
        (
            ["layer_averaging", "--set", "target.top_k=9"],
            "--set: target.top_k: must be at most the encoder's depth (8), got 9",
        ),
        (
            ["layer_averaging", "--set", "target.featur=ffn"],
            "--set: target.featur: unknown setting; did you mean 'feature'?",
        ),
        (
            ["layer_averaging", "--set", "training.num_steps=many"],
            "--set: training.num_steps: must be a valid integer, got 'many'",
        ),
        (
            ["layer_averaging", "--set", "vision.timm_model=vit_tiny_patch16_22"],
            "did you mean 'vit_tiny_patch16_224'?",
        ),
        (
            ["layer_averaging", "--set", "vision.patch_size=3"],
            "vision.patch_size: must divide vision.image_size (8), got 3",
        ),
        (["layer_averaging", "--seeds", ","], "--seeds: must be a count of at least 1"),
        (["layer_averaging", "--tracking-uri", "file:///tmp/x"], "must start with"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_names_settings_and_places_are_checked_first(
    refused: Refused, verb: str, arguments: list[str], message: str
) -> None:
    refused(verb, *arguments, says=[message])


UNTIL = "--until-decided"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [UNTIL, "--max-seeds", "7"],
            "--max-seeds: must be from 8, the first look, to 100, got 7",
        ),
        ([UNTIL, "--max-seeds", "101"], "--max-seeds: must be from 8"),
        (
            [UNTIL, "--seeds", "20"],
            "--until-decided: chooses the seeds itself, give --max-seeds instead of",
        ),
        (["--max-seeds", "20"], "--max-seeds: goes with --until-decided"),
        ([UNTIL, "--arm", "K=1"], "--arm: must stand without --until-decided"),
        (["--arm", "K=0"], "--arm: must be one of K=1, K=2"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_looks_that_cannot_be_are_refused_first(
    refused: Refused, verb: str, arguments: list[str], message: str
) -> None:
    refused(verb, "layer_averaging", *arguments, says=[message])


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_study_without_claims_has_nothing_to_decide(
    tmp_path: Path, refused: Refused, verb: str
) -> None:
    file = write_study(tmp_path, STUDY)
    message = "--until-decided: study mine has no claims to decide"
    refused(verb, file, UNTIL, says=[message])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no data root was given"),
        (
            ["--data-root", "/nowhere"],
            "data.root: must be an existing folder, got '/nowhere'",
        ),
    ],
)
def test_a_run_needs_its_data(
    refused: Refused, arguments: list[str], message: str
) -> None:
    """A plan does not: it says what it cannot know (test_forecast.py)."""
    refused("run", "layer_averaging", "--scale", "laptop", *arguments, says=[message])


def test_a_tracking_server_nobody_runs_is_refused(refused: Refused) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    message = f"--tracking-uri: nobody answers at 127.0.0.1:{port}"
    refused("run", "layer_averaging", "--tracking-uri", uri, says=[message])
    refused("run", "layer_averaging", MLFLOW_TRACKING_URI=uri, says=[message])
    refused("report", "layer_averaging", "--tracking-uri", uri, says=[message])


def test_a_ray_cluster_nobody_runs_is_refused(refused: Refused) -> None:
    message = "--address: no Ray cluster answers at 127.0.0.1:1"
    refused("run", "layer_averaging", "--address", "127.0.0.1:1", says=[message])
    refused("run", "layer_averaging", RAY_ADDRESS="127.0.0.1:1", says=[message])


@pytest.mark.parametrize("address", ["ray://127.0.0.1:1", "http://127.0.0.1:1"])
def test_the_address_of_a_client_or_job_server_is_another(
    refused: Refused, address: str
) -> None:
    """``RAY_ADDRESS`` is what ``ray job submit`` reads, too."""
    message = (
        f"--address: must be the cluster's own address, head:6379, got {address!r}"
    )
    refused("run", "layer_averaging", RAY_ADDRESS=address, says=[message])


def test_a_report_without_a_store_is_refused(refused: Refused) -> None:
    refused("report", "layer_averaging", says=["run a study first"])
    refused("ui", says=["run a study first"])


def test_a_truncated_image_is_named_before_anything_starts(
    tmp_path: Path, refused: Refused
) -> None:
    root = tmp_path / "given" / "images"
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for i in range(8):
                pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{i}.jpg")
    whole = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(whole, format="jpeg")
    broken = root / "train" / "dog" / "3.jpg"
    broken.write_bytes(whole.getvalue()[:-80])
    refused(
        *("run", "layer_averaging", "--scale", "laptop", "--data-root", str(root)),
        says=["1 of 32 do not", f"{broken}: "],
    )


def test_the_train_command_refuses_like_the_others(refused: Refused) -> None:
    refused("train", "vision-smok", says=["did you mean 'vision-smoke'?"])
    refused("train", "vision-smoke", "--set", "mask.kind=blok", says=["'block'"])


BROKEN = """name: mine
title: Mine
set: {training.num_steps: 0}
arms:
- {name: one, set: {target.top_k: 9}}
- {name: other, set: {mask.ratio: 1.6}}
metric: {vision: linear_accuracy}
"""


def mistakes_found_by_check(file: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_study_file(file, "smoke")
    return str(caught.value).splitlines()


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_verb_places_mistakes_as_the_check_does(
    verb: str, tmp_path: Path, refused: Refused
) -> None:
    file = write_study(tmp_path, BROKEN)
    mistakes = mistakes_found_by_check(file)
    places = [line.partition(": ")[0] for line in mistakes]
    assert places == [f"{file}:3:7", f"{file}:5:21", f"{file}:6:23"]
    refused(verb, file, says=mistakes)


def test_a_plan_places_an_encoder_that_cannot_be_built(
    tmp_path: Path, refused: Refused
) -> None:
    text = BROKEN.replace("num_steps: 0", "num_steps: 9").replace(
        "top_k: 9", "top_k: 2"
    )
    text = text.replace("mask.ratio: 1.6", "vision.timm_model: vit_tony")
    file = write_study(tmp_path, text)
    [mistake] = mistakes_found_by_check(file)
    assert mistake.startswith(f"{file}:6:23: ")
    refused("plan", file, says=[mistake])


def test_a_search_places_what_is_common_to_all_trials(
    tmp_path: Path, refused: Refused
) -> None:
    file = write_study(
        tmp_path,
        "name: mine\ntitle: Mine\nmetric: {vision: linear_accuracy}\n"
        "set: {training.num_steps: 0}\n"
        "parameters:\n- {setting: mask.ratio, kind: float, low: 0.4, high: 0.8}\n",
    )
    refused("search", file, says=[f"{file}:4:7: ", "training.num_steps: must be"])


def test_train_places_an_encoder_that_cannot_be_built(
    tmp_path: Path, refused: Refused
) -> None:
    recipe = (RECIPES / "vision-smoke.yaml").read_text()
    text = recipe.replace("vit_tiny_patch16_224", "vit_tony")
    file = write_study(tmp_path, text)
    line = text[: text.index("timm_model")].count("\n") + 1
    refused("train", file, says=[f"{file}:{line}:3: vision.timm_model: "])
