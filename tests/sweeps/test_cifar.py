"""The same study on real images: a part of CIFAR-10 as folders of JPEG files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sweeps.command import d2v

ROOT = os.environ.get("D2V_DATA")
PER_CLASS = {"train": 100, "test": 30}
"""Images: all of them take a minute to read, and are in test_torchvision_sets.py."""


@pytest.mark.thorough
@pytest.mark.data
@pytest.mark.skipif(
    not ROOT or not (Path(ROOT) / "cifar10").is_dir(),
    reason="D2V_DATA must name a folder with cifar10/ (shared/data/vision.tar.xz)",
)
def test_layer_averaging_runs_on_cifar10_from_a_data_root(tmp_path: Path) -> None:
    assert ROOT is not None
    root = tmp_path / "data"
    for split, count in PER_CLASS.items():
        for of_class in (Path(ROOT) / "cifar10" / split).iterdir():
            place = root / "cifar10" / split / of_class.name
            place.mkdir(parents=True)
            for file in sorted(of_class.iterdir())[:count]:
                (place / file.name).symlink_to(file)
    done = d2v(
        *(tmp_path, "run", "layer_averaging", "--modality", "vision"),
        *("--scale", "laptop", "--data-root", str(root), "--seeds", "1"),
        *("--set", "training.num_steps=4", "--set", "evaluation.num_labels=100"),
        *("--set", "target.top_k=3", "--set", "evaluation.l2_grid=[0.01, 0.1]"),
    )
    assert done.code == 0, done.out + done.err
    assert "3 trials trained (3 finished), 0 cached" in done.out
    for arm in ("K=3", "untrained", "supervised"):
        assert arm in done.out
