"""A kept encoder is exported by what it is called, and gives the same features."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ablations.record import ManifestCell
from d2v_core.errors import ConfigError
from d2v_core.loading import load_encoder
from sweeps.plan.kept import Wanted, find_kept
from sweeps.plan.needed import needed_trainings
from sweeps.plan.planning import make_manifest, plan_study
from sweeps.tracking.stores import Stores, choose_stores
from sweeps.tracking.tracker import Tracker
from sweeps.worker.encoders import EncoderStore
from tests.d2v_cli.test_export import Command, run
from tests.d2v_core.test_trained import SMALL, some_encoder
from tests.sweeps.plan.test_planning import SMOKE

__all__ = ["run"]
KEPT = "K=2"


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Stores, ManifestCell]:
    """A store in which a study was planned, and one of its encoders kept."""
    stores = choose_stores(str(tmp_path / "d2v-runs"), None)
    manifest = make_manifest(plan_study("layer_averaging", SMOKE), "d2v run")
    tracker = Tracker(stores, "test")
    tracker.open_study(plan_study("layer_averaging", SMOKE), manifest)
    cell = next(cell for cell in manifest.cells if cell.arm == KEPT)
    EncoderStore(stores.encoders).write(cell.training, some_encoder())
    return stores, cell


def test_a_cell_of_a_study_is_found_and_what_is_wrong_is_named(
    planned: tuple[Stores, ManifestCell],
) -> None:
    stores, cell = planned
    found, folder = find_kept(stores, Wanted("layer_averaging", KEPT))
    assert (found, folder) == (cell, stores.encoders / cell.training)
    for wanted, message in {
        Wanted("layers", KEPT): "--study: must be one of layer_averaging, got 'layers'",
        Wanted("layer_averaging", "K=9"): "--arm: must be one of K=1, K=2, ",
        Wanted("layer_averaging", KEPT, seed=99): "--seed: must be one of 0",
        Wanted("layer_averaging", KEPT, modality="text"): "was not run for text",
        Wanted("layer_averaging", "K=1"): "the encoder of K=1, seed 0, is not kept",
    }.items():
        with pytest.raises(ConfigError) as error:
            find_kept(stores, wanted)
        assert message in str(error.value)


def test_an_mlflow_model_gives_the_same_features_in_a_fresh_process(
    planned: tuple[Stores, ManifestCell], tmp_path: Path, run: Command
) -> None:
    stores, cell = planned
    options = ("--study=layer_averaging", f"--arm={KEPT}", "--to=mlflow", "--out=m")
    done = run("export", *options)
    assert done.code == 0, done.err
    assert "open it with from mlflow import pyfunc; pyfunc.load_model('m')" in done.out
    size = SMALL["vision"]["image_size"]
    images = np.random.default_rng(0).integers(0, 256, (3, 1, size, size), np.uint8)
    np.save(tmp_path / "images.npy", images)
    script = (
        "import numpy as np; from mlflow import pyfunc\n"
        "features = pyfunc.load_model('m').predict(np.load('images.npy'))\n"
        "np.save('features.npy', features)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    ours = load_encoder(stores.encoders / cell.training).features(images)
    theirs = np.load(tmp_path / "features.npy")
    assert ours.shape == (3, 16)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    again = run("export", *options)
    assert "--out: must be a new or empty folder, 'm' holds files" in again.err


def test_other_samples_are_refused(planned: tuple[Stores, ManifestCell]) -> None:
    stores, cell = planned
    encoder = load_encoder(stores.encoders / cell.training)
    with pytest.raises(ConfigError, match=r"samples\[0\]: must be of shape"):
        encoder.features(np.zeros((2, 9), np.uint8))
    with pytest.raises(ConfigError, match=r"samples\[0\]: floats must lie between"):
        encoder.features(np.full((2, 1, 8, 8), 255.0))
    with pytest.raises(ConfigError, match="no encoder is kept there"):
        load_encoder(stores.encoders / "nowhere")


def test_prune_removes_what_no_study_needs_after_showing_it(
    planned: tuple[Stores, ManifestCell], run: Command
) -> None:
    stores, cell = planned
    encoders, stranger = EncoderStore(stores.encoders), "00000000000000aa"
    encoders.write(stranger, some_encoder())
    assert cell.training in needed_trainings(stores)
    done = run("prune", "--yes")
    assert done.code == 0, done.err
    assert "2 encoders, 1 not needed" in done.out
    assert stranger in done.out
    assert list(encoders.keys()) == [cell.training]
