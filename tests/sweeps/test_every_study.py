"""Every shipped study really runs, for every modality it has, in CI's time.

One seed and a few updates: the point is that plan, trials, tables and scorecard work.
What the studies show at scale ``smoke`` is in docs/log.md. The trials run in this
process, as a worker runs them, and lie where a driver that died would have left them;
Ray trains the few that are missing then.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ablations.library import STUDIES, load_study, study_names
from ablations.record import DONE
from ablations.study.arms import Request
from sweeps.driver.run import prepare_data
from sweeps.plan.planning import StudyPlan, plan_study, unique_trials
from sweeps.tracking.stores import choose_stores
from sweeps.worker.encoders import EncoderStore
from sweeps.worker.job import Job
from sweeps.worker.spool import Spool
from sweeps.worker.trial import run_job
from tests.sweeps.command import TINY, Here, d2v

pytestmark = [pytest.mark.thorough, pytest.mark.long]
SMALL = {
    "vision": (*TINY, "--set=evaluation.num_label_draws=1"),
    "speech": (
        *("--set=training.num_steps=6", "--set=execution.log_every=2"),
        *("--set=data.num_train=40", "--set=data.num_valid=10"),
        *("--set=data.num_test=10", "--set=evaluation.num_labels=20"),
        *("--set=evaluation.max_frames=100", "--set=evaluation.l2_grid=[0.01]"),
        "--set=evaluation.num_label_draws=1",
        *("--set=evaluation.ctc_probe.num_steps=4", "--set=evaluation.beam_width=1"),
        "--set=evaluation.ctc_probe.learning_rates=[0.1]",
    ),
    "text": (
        *(*TINY, "--set=evaluation.num_labels=50", "--set=text.vocab_size=300"),
        *("--set=text.max_tokens=16", "--set=text.width=16"),
        "--set=evaluation.num_label_draws=1",
    ),
}
"""Settings that every arm of every study takes."""
NUM_STUDIES = {"vision": 10, "speech": 10, "text": 9}
"""At least; new ones may be more."""
NUM_FOR_RAY = 2
LENGTH = re.compile(r"(num_steps: )\d+")
"""In a study that sets it arm by arm, of the training or of fine-tuning."""


@pytest.mark.parametrize("modality", SMALL)
def test_every_study_fills_its_table(modality: str, tmp_path: Path, here: Here) -> None:
    names = [n for n in study_names() if modality in load_study(n).metric]
    assert len(names) >= NUM_STUDIES[modality]
    studies = [shortened(name, tmp_path) for name in names]
    assignments = tuple(word.removeprefix("--set=") for word in SMALL[modality])
    request = Request(modality, "smoke", assignments, seeds=(0,))
    num_trials = train_here([plan_study(n, request) for n in studies], tmp_path)

    where = ("--modality", modality, "--scale", "smoke")
    done = d2v(tmp_path, "run", *studies, *where, "--seeds", "1", *SMALL[modality])
    assert done.code == 0, done.out + done.err
    # Of so few updates some collapse, and two trials may share an encoder.
    (ends,) = re.findall(r"\(((?:\d+ (?:finished|collapsed)(?:, )?)+)\)", done.out)
    assert sum(map(int, re.findall(r"\d+", ends))) == NUM_FOR_RAY
    assert f"{num_trials} cached" in done.out

    reports = tmp_path / "d2v-runs" / "reports"
    if modality == "text":  # it has the fewest studies, and one scorecard is enough
        again = here(tmp_path, "report", "--all")
        assert again.code == 0, again.out + again.err
        assert (reports / "scorecard.html").exists()
    for name in names:
        found = list(reports.glob(f"*{name}-{modality}-smoke*"))
        assert found  # of the run, and of `report --all`
        for report in found:
            assert_filled(report)


def shortened(name: str, folder: Path) -> str:
    """The study, or a copy of it whose arms are a few updates long."""
    text = (STUDIES / f"{name}.yaml").read_text()
    if not LENGTH.search(text):
        return name
    file = folder / f"{name}.yaml"
    of_its_own = text.replace(f"name: {name}", f"name: short_{name}", 1)
    file.write_text(LENGTH.sub(r"\g<1>3", of_its_own))
    return str(file)


def train_here(plans: Sequence[StudyPlan], folder: Path) -> int:
    """All trials but the first few; how many."""
    names = prepare_data(plans)
    digests = {cell.key: plan.data_digest for plan in plans for cell in plan.cells}
    cells = list(unique_trials(plans).values())[NUM_FOR_RAY:]
    for cell in cells:
        stores = choose_stores(str(folder / "d2v-runs"), None)
        spool = Spool(stores.checkpoints / cell.key, stores.checkpoints / cell.training)
        encoders, stop = EncoderStore(stores.encoders), folder / "never"
        job = Job(cell, spool, encoders, stop, names[cell.key], digests[cell.key])
        run_job(job.for_worker(), lambda message: None)
        ended = spool.read_record()
        assert ended is not None
        assert ended[0].status in DONE, (cell.arm.label, ended[0].reason)
    return len(cells)


def assert_filled(report: Path) -> None:
    """Every arm has its one seed, and every trial a result."""
    assert (report / "report.html").exists()
    with (report / "table.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) >= 2
    assert not [row["arm"] for row in rows if row["n"] != "1"], report.name
    trials = json.loads((report / "ledger.json").read_text())["by_trial"]
    assert len(trials) == len(rows)
    assert {trial["status"] for trial in trials} <= set(DONE), (report.name, trials)
