"""Every shipped study really runs, for every modality it has, in CI's time.

One seed and a few updates: the point is that plan, trials, tables and scorecard work.
What the studies show at scale ``smoke`` is in docs/log.md.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ablations.library import load_study, study_names
from ablations.record import DONE
from tests.sweeps.command import TINY, d2v

SMALL = {
    "vision": TINY,
    "speech": (
        *("--set=training.num_steps=6", "--set=execution.log_every=2"),
        *("--set=data.num_train=40", "--set=data.num_valid=10"),
        *("--set=data.num_test=10", "--set=evaluation.num_labels=20"),
        *("--set=evaluation.ctc_probe.num_steps=4", "--set=evaluation.beam_width=1"),
        "--set=evaluation.ctc_probe.learning_rates=[0.1]",
    ),
    "text": (
        *(*TINY, "--set=evaluation.num_labels=50", "--set=text.vocab_size=300"),
        *("--set=text.max_tokens=16", "--set=text.width=16"),
    ),
}
"""Settings that every arm of every study takes."""


@pytest.mark.parametrize("modality", SMALL)
def test_every_study_fills_its_table(modality: str, tmp_path: Path) -> None:
    studies = [n for n in study_names() if modality in load_study(n).metric]
    where = ("--modality", modality, "--scale", "smoke")
    done = d2v(tmp_path, "run", *studies, *where, "--seeds", "1", *SMALL[modality])
    assert done.code == 0, done.out + done.err

    again = d2v(tmp_path, "report", "--all")
    assert again.code == 0, again.out + again.err
    reports = tmp_path / "d2v-runs" / "reports"
    assert (reports / "scorecard.html").exists()
    for study in studies:
        folder = reports / f"{study}-{modality}-smoke"
        assert (folder / "report.html").exists()
        with (folder / "table.csv").open() as table:
            empty = [row["arm"] for row in csv.DictReader(table) if row["n"] != "1"]
        assert not empty, (study, empty)
        trials = json.loads((folder / "ledger.json").read_text())["by_trial"]
        assert {trial["status"] for trial in trials} <= set(DONE), (study, trials)
