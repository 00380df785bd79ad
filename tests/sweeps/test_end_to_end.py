"""From a YAML file to a table, with real Ray and a real store."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import load_text

from ablations.record import Manifest, Record
from tests.sweeps.command import Here
from tests.sweeps.conftest import COMMAND, Lab


def report_folder(lab: Lab) -> Path:
    """Folder of a run with --set: the name ends in the request."""
    (folder,) = (lab.folder / "d2v-runs/reports").glob("layer_averaging-vision-smoke-*")
    return folder


ARMS = ["K=1", "K=2", "K=4", "K=8", "untrained", "supervised"]


def test_the_table_is_printed_with_the_papers_numbers_and_the_reports_place(
    lab: Lab,
) -> None:
    for arm in ARMS:
        assert arm in lab.first.out
    assert "83.01" in lab.first.out
    assert "12 trials trained (12 finished), 0 cached" in lab.first.out
    assert str(report_folder(lab) / "report.html") in lab.first.out
    assert (report_folder(lab) / "report.html").exists()


def test_nothing_but_our_own_words_is_printed(lab: Lab) -> None:
    for noise in ("Traceback", "Warning", "WARNING", "INFO", "Tune Status", "alembic"):
        assert noise not in lab.first.out + lab.first.err


def test_a_second_run_trains_nothing_and_says_so(lab: Lab, here: Here) -> None:
    before = {run.info.run_id for run in lab.runs()}
    again = here(lab.folder, *COMMAND)
    assert again.code == 0
    assert "nothing to train: all 12 trials were found in the store by key" in again.out
    assert {run.info.run_id for run in lab.runs()} == before


def test_trials_are_flat_children_of_one_study_run(lab: Lab) -> None:
    parents = [r for r in lab.runs() if r.data.tags["d2v.role"] == "study"]
    assert len(parents) == 1
    assert parents[0].info.status == "FINISHED"
    children = lab.trials()
    assert len(children) == 12
    parent_ids = {run.data.tags["mlflow.parentRunId"] for run in children}
    assert parent_ids == {parents[0].info.run_id}
    names = {run.info.run_name for run in children}
    assert names == {f"{arm} · seed {seed}" for arm in ARMS for seed in (0, 1)}
    assert {run.info.status for run in children} == {"FINISHED"}


def test_tags_are_uniform_and_name_user_commit_and_command(lab: Lab) -> None:
    tags = [run.data.tags for run in lab.trials()]
    ours = [{name for name in tag if name.startswith("d2v.")} for tag in tags]
    assert all(names == ours[0] for names in ours)
    for tag in tags:
        assert tag["d2v.study.layer_averaging"] == tag["d2v.arm"]
        assert tag["mlflow.source.name"].startswith("d2v run layer_averaging")
        assert tag["mlflow.source.git.commit"]
        assert tag["d2v.git.dirty"] in ("true", "false")
        assert tag["mlflow.user"]


def test_metrics_are_ours_alone_and_curves_are_whole(lab: Lab) -> None:
    client = MlflowClient(tracking_uri=lab.uri)
    for run in lab.trials():
        prefixes = {name.split("/")[0] for name in run.data.metrics}
        ours = "train target prediction student teacher optimizer eval cost"
        assert prefixes <= set(ours.split())
        if run.data.tags["d2v.arm"].startswith("K="):
            history = client.get_metric_history(run.info.run_id, "train/loss")
            assert sorted(metric.step for metric in history) == [2, 4, 6]


def test_record_and_config_artifacts_agree_with_metrics_and_params(lab: Lab) -> None:
    for run in lab.trials():
        at = run.info.artifact_uri
        record = Record.model_validate_json(load_text(f"{at}/record.json"))
        config = json.loads(load_text(f"{at}/config.json"))
        assert record.key == run.data.tags["d2v.key"]
        assert record.status == run.data.tags["d2v.status"] == "finished"
        for name, value in record.metrics.items():
            assert run.data.metrics[name] == value
        assert (record.metrics["cost/flops"] > 0) == (record.steps > 0)
        assert record.choices["evaluation.l2"] in config["evaluation"]["l2_grid"]
        assert record.environment["torch"]
        assert run.data.params["target.top_k"] == str(config["target"]["top_k"])
        assert run.inputs.dataset_inputs[0].dataset.digest == record.data_digest
        note = run.data.tags["mlflow.note.content"]
        arm, code = run.data.tags["d2v.arm"], run.data.params["arm"]
        assert note.startswith(f"**{arm}** (`{code}`), seed {record.seed}, of")
        assert " – outcome: finished, linear probe accuracy (%) " in note


def test_the_study_run_carries_plan_and_report(lab: Lab) -> None:
    client = MlflowClient(tracking_uri=lab.uri)
    parent = next(r for r in lab.runs() if r.data.tags["d2v.role"] == "study")
    text = load_text(f"{parent.info.artifact_uri}/study.json")
    manifest = Manifest.model_validate_json(text)
    assert {cell.key for cell in manifest.cells} == {
        run.data.tags["d2v.key"] for run in lab.trials()
    }
    files = {f.path for f in client.list_artifacts(parent.info.run_id, "report")}
    assert "report/report.html" in files
    note = parent.data.tags["mlflow.note.content"]
    assert "Hypothesis: Targets averaged over several top layers" in note
    assert "Outcome: All 12 trials finished." in note


def test_no_checkpoint_of_a_finished_trial_is_left(lab: Lab) -> None:
    assert list((lab.folder / "d2v-runs/checkpoints").glob("**/*.pt")) == []


def test_plan_counts_what_the_store_has(lab: Lab, here: Here) -> None:
    done = here(lab.folder, "plan", *COMMAND[1:], "--json")
    plan = json.loads(done.out)
    assert (plan["cells"], plan["unique_trials"]) == (12, 12)
    assert (plan["cached"], plan["missing"]) == (12, 0)
    longer = ("layer_averaging", "--seeds=3", *COMMAND[4:])
    more = json.loads(here(lab.folder, "plan", *longer, "--json").out)
    assert (more["cached"], more["missing"]) == (12, 6)
    assert more["estimate_from"] == "finished trials in the store"


def test_plan_prices_an_empty_store_by_a_pilot_and_writes_nothing(
    tmp_path: Path, here: Here
) -> None:
    done = here(tmp_path, "plan", "layer_averaging", "--seeds", "2", "--json")
    plan = json.loads(done.out)
    assert plan["missing"] == 12
    assert plan["estimate_from"] == "a pilot of 6 updates on this machine"
    assert plan["estimated_seconds"] > 0
    assert not (tmp_path / "d2v-runs").exists()


def test_the_report_is_rebuilt_from_the_store_alone(
    lab: Lab, here: Here, tmp_path: Path
) -> None:
    done = here(
        *(tmp_path, "report", "layer_averaging", "--tracking-uri", lab.uri),
        *("--storage", str(tmp_path / "elsewhere")),
    )
    assert done.code == 0, done.err
    ours = report_folder(lab) / "table.md"
    new = tmp_path / "elsewhere/reports/layer_averaging-vision-smoke/table.md"
    assert new.read_text() == ours.read_text()


def test_a_users_study_in_a_file_shares_trials_with_the_shipped_one(
    lab: Lab, here: Here
) -> None:
    file = lab.folder / "mine.yaml"
    file.write_text(
        "name: mine\ntitle: Mine\nmetric: {vision: knn_accuracy}\nseeds: 2\n"
        "arms:\n- {name: top layer, set: {target.top_k: 1}}\n"
        "- {name: two layers, set: {target.top_k: 2}}\n"
        "reference_arms: [untrained]\n"
    )
    done = here(lab.folder, "run", str(file), *COMMAND[4:])
    assert done.code == 0, done.err
    assert "nothing to train: all 6 trials were found" in done.out
    assert "top layer" in done.out
    shared = [r for r in lab.trials() if "d2v.study.mine" in r.data.tags]
    assert len(shared) == 6
    assert len(lab.trials()) == 12
