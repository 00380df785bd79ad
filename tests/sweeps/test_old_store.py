"""A store that older code left: read, told, and nothing of it used again.

``schema_2.tar.xz`` was made at d194b89, when the schema version was 2, by ``d2v run
layer_averaging --modality vision --scale smoke --seeds 2 --set target.top_k=1 --set
training.num_steps=20 --storage /tmp/old_store/lab``; its reports were taken out.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path

import pytest

from tests.sweeps.command import Here

PACKED = Path(__file__).with_name("schema_2.tar.xz")
MADE_AT = "file:///tmp/old_store/lab"
STUDY = ("layer_averaging", "--scale", "smoke")
SETTINGS = ("--set", "target.top_k=1", "--set", "training.num_steps=20")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The store, moved."""
    folder = tmp_path / "lab"
    with tarfile.open(PACKED) as packed:
        packed.extractall(folder, filter="data")
    with sqlite3.connect(folder / "mlflow.db") as store:
        for table, column in (
            ("runs", "artifact_uri"),
            ("experiments", "artifact_location"),
        ):
            store.execute(
                f"update {table} set {column} = replace({column}, ?, ?)",
                (MADE_AT, folder.as_uri()),
            )
    store.close()
    return folder


def test_its_report_is_rebuilt(old: Path, here: Here) -> None:
    storage = ("--storage", str(old))
    done = here(old, "report", STUDY[0], *storage)
    assert done.code == 0, done.out + done.err
    for number in ("56.26", "55.51", "53.84"):  # as it was printed then
        assert number in done.out
    (table,) = old.glob("reports/*/table.csv")
    assert len(table.read_text().splitlines()) == 4


def test_nothing_of_it_is_used_again_and_a_line_says_so(old: Path, here: Here) -> None:
    storage = ("--storage", str(old))
    options = ("--seeds", "2", *SETTINGS, *storage)
    done = here(old, "plan", *STUDY, *options)
    assert done.code == 0, done.out + done.err
    assert "0 cached, 6 to train, 0 to evaluate" in done.out
    said = " ".join(done.out.split())
    assert "6 trials of an earlier run stay in the store and are not used" in said
    assert "older than schema version 4" in said
    trials = json.loads(here(old, "plan", *STUDY, *options, "--json").out)["trials"]
    assert not any(trial["cached"] for trial in trials)
    evaluated = here(old, "evaluate", STUDY[0], *STUDY[1:], *options)
    assert evaluated.code == 1  # no encoder was kept then
    assert "supervised · seed 1; d2v run trains them" in evaluated.out
