"""Two hosts with a head and a node of ``ray start``; only the node gives CPUs.

The node has the libraries but no checkout: the rooms' folders are empty there. So is
the folder ``apart``, which stands for a disk of the driver's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from tests.d2v_cli.test_bad_input import assert_refused
from tests.sweeps.command import TINY, Done
from tests.sweeps.driver.long_run import all_trials
from tests.sweeps.ray.clusters import CHECKOUT, Host, hosts, needs_hosts, wait_for_text

pytestmark = [pytest.mark.thorough, needs_hosts]
STUDY = ("run", "layer_averaging", "--seeds", "1", "--set", "target.top_k=2", *TINY)
URI = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class Pair:
    """A cluster of two hosts, and a tracking server on the head's loopback."""

    head: Host
    node: Host

    def run(self, *arguments: str, **extra: str) -> Done:
        return self.head.d2v(*STUDY, "--address", self.head.ray, *arguments, **extra)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    (folder / "apart").mkdir()
    with hosts(folder, 2) as (head, node):
        node.hidden = (*CHECKOUT, folder / "apart")
        head.head("--num-cpus", "0")
        node.join(head, "--num-cpus", "2", "--num-gpus", "1", log="node")
        yield Pair(head, node)


@pytest.fixture(scope="module")
def server(pair: Pair) -> str:
    command = [
        *("mlflow", "server", "--host", "127.0.0.1", "--port", "5000"),
        *("--backend-store-uri", f"sqlite:///{pair.head.folder}/served.db"),
        *("--artifacts-destination", f"file://{pair.head.folder}/served"),
        *("--workers", "1"),
    ]
    process = pair.head.start(sys.executable, "-m", *command, log="mlflow")
    wait_for_text(pair.head.log("mlflow"), "Application startup complete", process)
    return URI


def test_a_node_without_a_checkout_trains(pair: Pair, server: str) -> None:
    done = pair.run("--tracking-uri", server)
    assert done.code == 0, done.out + done.err
    assert "3 trials trained (3 finished)" in done.out
    store = MlflowClient(tracking_uri=f"sqlite:///{pair.head.folder}/served.db")
    assert len(all_trials(store)) == 3
    assert not list((pair.head.folder / "d2v-runs").glob(".t*"))


def test_the_users_own_file_travels_to_a_node_that_has_it_not(
    pair: Pair, server: str
) -> None:
    file = pair.head.folder.parent / "apart" / "norm.py"
    file.write_text("def halved(features, real):\n    return features / 2\n")
    storage = ("--storage", str(pair.head.folder / "own-code"))
    own = ("--set", f"target.final_norm={file}:halved")
    try:
        done = pair.run(*own, *storage, "--tracking-uri", server)
    finally:
        file.unlink()  # another test counts what stands there
    assert done.code == 0, done.out + done.err
    assert "K=2 · seed 0: finished" in done.out


def test_two_trials_share_a_gpu_by_fraction(pair: Pair, server: str) -> None:
    """Ray counts a GPU the node does not have; ``device: auto`` then takes the CPU."""
    folder = pair.head.folder / "shared-gpu"
    steps = ("--set", "training.num_steps=100", "--seeds", "2")
    share = ("--set", "execution.num_gpus=0.5", "--storage", str(folder))
    done = pair.run(*steps, *share, "--tracking-uri", server)
    assert done.code == 0, done.out + done.err
    running, most = 0, 0
    for line in next(folder.glob("events/*.jsonl")).read_text().splitlines():
        running += {"trial_started": 1, "trial_ended": -1}.get(
            json.loads(line)["event"], 0
        )
        most = max(most, running)
    assert most == 2


def test_all_that_is_missing_is_told_before_anything_starts(pair: Pair) -> None:
    apart = pair.head.folder.parent / "apart"
    images = apart / "given" / "images"
    write_images(images)
    done = pair.run(
        *("--scale", "laptop", "--data-root", str(images)),
        *("--storage", str(apart / "lab"), "--set", "execution.num_gpus=2"),
        *("--set", "evaluation.num_labels=10"),
    )
    assert_refused(
        done,
        apart,
        "execution: a trial reserves 1 CPU and 2 GPU, which no node can ever give",
        "give --set execution.num_gpus=1, or add nodes",
        "--tracking-uri: on a cluster of several machines the store must be served",
        f"mlflow server --backend-store-uri sqlite:///{apart}/lab/mlflow.db",
        f"--storage: node {pair.node.address} does not see this machine's",
        f"--data-root: node {pair.node.address} has no '{images}'",
    )


def test_a_cluster_needs_its_token(pair: Pair) -> None:
    done = pair.run("--storage", "unused", RAY_AUTH_TOKEN="someone-elses")
    rule = f"--address: cannot join the Ray cluster at {pair.head.ray}"
    assert_refused(done, pair.head.folder / "unused", rule, "RAY_AUTH_TOKEN")


def write_images(root: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for i in range(8):
                pixels[:] = 10 * i
                Image.fromarray(pixels).save(root / split / label / f"{i}.png")
