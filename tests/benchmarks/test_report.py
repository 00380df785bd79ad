from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import build, look_up, synthetic_manifest, write_store


@pytest.mark.parametrize("num_trials", [4, 100, 1_000, 10_000])
def test_the_synthetic_study_has_the_trials_asked_for(num_trials: int):
    manifest = synthetic_manifest(num_trials)
    assert len(manifest.cells) == num_trials
    assert len({cell.key for cell in manifest.cells}) == num_trials


def test_a_small_store_is_looked_up_and_reported(tmp_path: Path):
    uri = write_store(tmp_path, 4)
    assert look_up(uri) == 4
    assert build(uri) == 4
