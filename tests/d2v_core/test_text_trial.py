"""Text through the whole of the core: golden losses, resume, arms, data files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.data.text.dataset import TextBatches, load_text, text_digest
from d2v_core.encoders.token_inputs import EOS, pad_rows
from d2v_core.errors import ConfigError, DataError
from d2v_core.modalities import modality_of
from d2v_core.training.events import CheckpointDue, Finished, Progress, Trained
from d2v_core.trial import run_trial
from tests.d2v_core.data.text.files import write_generic, write_table
from tests.d2v_core.golden import five_losses
from tests.d2v_core.small import fill_with_ramp
from tests.d2v_core.small_text import (
    EVERYTHING_RANDOM,
    small_samples,
    small_text_dataset,
    small_text_trial,
)

ROOT = os.environ.get("D2V_DATA")
GOLDEN = {
    "spans": [0.18643461, 0.1832332, 0.18043429, 0.17876093, 0.17824803],
    "bert": [1.4913681, 1.4658986, 1.4434882, 1.4301279, 1.42606],
    "reference bug": [0.23605509, 0.23407745, 0.23018466, 0.22525771, 0.22847897],
    "pre-norm": [0.31839976, 0.31475449, 0.31139565, 0.30840021, 0.30832303],
    "supervised": [0.69805408, 0.69730723, 0.6967029, 0.69638908, 0.69628143],
}
BERT = {"mask": {"kind": "bert", "probability": 0.4}}
BUG = {"teacher": {"input": "reference_bug"}}
CHANGES = {
    "spans": {},
    "bert": {**BERT, "loss": {"kind": "smooth_l1", "beta": 4.0, "scale": "sum"}},
    "reference bug": {**BERT, **BUG, "target": {"layer_norm": "instance"}},
    "pre-norm": {"text": {"norm": "pre"}, "target": {"feature": "block"}},
    "supervised": {"objective": {"kind": "supervised"}},
}


def batch(step):
    lengths = (12, 9, 12, 5)
    rows = [5 + (np.arange(n) * 37 + 11 * step + n) % 275 for n in lengths]
    for row in rows:
        row[0], row[-1] = 0, EOS
    return pad_rows(rows), torch.arange(4) % 2


@pytest.mark.parametrize("name", CHANGES)
def test_losses_of_five_updates_are_the_golden_ones(name):
    trial = small_text_trial(CHANGES[name], {"optimizer": {"learning_rate": 1e-3}})
    objective = build_objective(trial, num_classes=2)
    fill_with_ramp(objective.module)
    if name != "supervised":
        fill_with_ramp(objective.network("teacher"))
    losses = five_losses(trial, objective, batch)
    assert losses == pytest.approx(GOLDEN[name], rel=1e-5)


def run(*changes, **options):
    """Events, and the tensors of the last state."""
    events, state = [], None
    options = {"dataset": small_text_dataset(), **options}
    for event in run_trial(small_text_trial(*changes), **options):
        events.append(event)
        state = event.state if isinstance(event, Trained) else state
    tensors = [*state.objective.module.state_dict().values()]
    tensors += state.objective.extra_state().values()
    for moments in state.optimizer.state_dict()["state"].values():
        tensors += moments.values()
    return events, tensors


def shown(events):
    return [(e.step, dict(e.metrics)) for e in events if isinstance(e, Progress)]


def losses(events):
    return [metrics["train/loss"] for _, metrics in shown(events)]


def scores(events):
    finished = events[-1]
    assert isinstance(finished, Finished)
    return {k: v for k, v in finished.metrics.items() if k.startswith("eval/")}


def without_clock(progress):
    return [
        (step, {k: v for k, v in metrics.items() if not k.startswith("cost/")})
        for step, metrics in progress
    ]


@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("change", [{}, BUG, {"objective": {"kind": "supervised"}}])
def test_a_resumed_trial_cannot_be_told_from_an_uninterrupted_one(
    tmp_path, step, change
):
    changes = [EVERYTHING_RANDOM, change]
    whole, tensors = run(*changes)
    interrupted = run_trial(small_text_trial(*changes), dataset=small_text_dataset())
    for event in interrupted:
        if isinstance(event, CheckpointDue) and event.state.step == step:
            event.save(tmp_path / "checkpoint.pt")
            interrupted.close()
    torch.manual_seed(12345)  # another process has another global state
    rest, again = run(*changes, checkpoint=tmp_path / "checkpoint.pt")
    expected = without_clock(shown(whole)[step:])
    assert without_clock(shown(rest)) == expected
    assert scores(rest) == scores(whole)
    assert all(torch.equal(a, b) for a, b in zip(tensors, again, strict=True))


def test_the_seed_and_what_the_teacher_reads_matter_from_the_first_update():
    def first(*changes):
        short = {"training": {"num_steps": 1}, "evaluation": {"num_labels": 10}}
        return losses(run(EVERYTHING_RANDOM, short, *changes)[0])

    assert len({*first(), *first({"seed": 4}), *first(BUG)}) == 3


@pytest.mark.parametrize("shares", [["feature_encoder"], ["positions"]])
def test_parts_can_be_shared_and_context_limited(shares):
    events, _ = run({"teacher": {"shares": shares, "context": 0.4}})
    assert all(np.isfinite(losses(events)))


def test_a_supervised_arm_reads_labelled_rows_only():
    dataset = small_text_dataset()
    modality = modality_of(small_text_trial())
    supervised = small_text_trial({"objective": {"kind": "supervised"}})
    batches = modality.batches(supervised, dataset)
    taken = np.concatenate([batches.indices(step) for step in range(1, 6)])
    assert sorted(taken[:20]) == sorted(taken[20:]) == list(range(20))
    rows, labels = batches(2)
    wanted = batches.indices(2)
    assert labels.tolist() == dataset.labels[wanted].tolist()
    lengths = tuple(len(row) for row in dataset.rows.read(wanted))
    assert rows.lengths == lengths
    assert rows.values.shape[1] == max(lengths)
    everything = modality.batches(small_text_trial(), dataset)
    assert len({*np.concatenate([everything.indices(s) for s in (1, 2, 3, 4)])}) == 30


def test_batches_are_a_function_of_the_update():
    batches = TextBatches(small_text_dataset(), batch_size=7, seed=1)
    assert torch.equal(batches(9)[0].values, batches(9)[0].values)
    assert not np.array_equal(batches.indices(9), batches.indices(10))


def files(root):
    write_table(root / "corpus" / "train.txt", *small_samples(20, seed=6).first)
    write_generic(root / "cls" / "answer")
    return {
        "data": {"source": "lines", "folder": "corpus", "root": str(root)},
        "evaluation": {"tasks": ["cls/answer", "pydoc/topic"]},
    }


def test_a_trial_on_files_runs_and_has_no_supervised_arm(tmp_path):
    change = files(tmp_path)
    trial = small_text_trial(change)
    events = list(run_trial(trial))
    assert set(scores(events)) >= {"eval/answer_accuracy", "eval/pydoc_topic_accuracy"}
    with pytest.raises(ConfigError, match="supervised needs labelled training data"):
        list(run_trial(small_text_trial(change, {"objective": {"kind": "supervised"}})))


def test_the_digest_is_of_the_corpus_and_the_tasks(tmp_path):
    trial = small_text_trial(files(tmp_path))

    def digest(tasks=trial.evaluation.tasks):
        return text_digest(trial.data, tasks)

    before = digest()
    assert before == digest()
    assert before != digest(("cls/answer",))
    write_table(tmp_path / "cls" / "answer" / "dev.tsv", "sentence|label", "a|yes")
    assert digest() != before
    with pytest.raises(DataError, match=r"missing:\n  .*/x/train.tsv\n  .*/x/dev.tsv"):
        digest(("x",))


def test_mistakes_in_corpus_and_tasks_are_named_together_before_training(tmp_path):
    change = files(tmp_path)
    with (tmp_path / "corpus" / "train.txt").open("ab") as file:
        file.write(b"\xff\n")
    with (tmp_path / "cls" / "answer" / "dev.tsv").open("a") as file:
        file.write("a\tperhaps\n")
    trial = small_text_trial(change)

    def load():
        return load_text(
            trial.data, trial.evaluation.tasks, vocab_size=280, max_tokens=24
        )

    with pytest.raises(DataError) as caught:
        load()
    assert [line.split("/")[-1] for line in str(caught.value).splitlines()[1:]] == [
        "dev.tsv:10: label must be one of no, yes, got 'perhaps'",
        "train.txt:21: must be UTF-8, byte 0 is not",
    ]
    trial = small_text_trial(change, {"data": {**change["data"], "on_error": "skip"}})
    assert sum("unreadable lines left out" in note for note in load().notes) == 2


@pytest.mark.data
@pytest.mark.skipif(
    not ROOT or not (Path(ROOT) / "text" / "glue").is_dir(),
    reason="D2V_DATA must name a folder with text (shared/data/text.tar.xz)",
)
def test_a_trial_runs_on_real_text():
    events = list(
        run_trial(
            small_text_trial(
                {
                    "text": {"vocab_size": 1000},
                    "data": {"source": "lines", "folder": "text/masc", "root": ROOT},
                    "evaluation": {
                        "tasks": ["text/glue/CoLA", "text/cls/trec-coarse"],
                        "num_labels": 200,
                    },
                }
            )
        )
    )
    assert scores(events)["eval/trec_coarse_accuracy"] > 15
    assert any("18 of 1043" in note for note in events[-1].notes)
