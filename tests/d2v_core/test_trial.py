import numpy as np
import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.errors import DivergedError
from d2v_core.training.events import (
    CheckpointDue,
    Collapsed,
    Finished,
    Progress,
    Started,
    Trained,
)
from d2v_core.training.loop import mixed_precision
from d2v_core.trial import num_ahead, num_updates, pick_device, run_trial
from tests.d2v_core.small import (
    EVERY_KNOB,
    EVERYTHING_RANDOM,
    SECOND,
    small_dataset,
    small_trial,
)
from tests.d2v_core.updates import targets_of, update


def run(*changes, **options):
    options.setdefault("dataset", small_dataset())
    return list(run_trial(small_trial(*changes), **options))


def losses(events):
    return [e.metrics["train/loss"] for e in events if isinstance(e, Progress)]


def test_events_come_in_order_and_the_last_is_the_result():
    events = run({"execution": {"checkpoint_every_seconds": 1e7}})
    assert [type(event) for event in events] == [
        Started,
        *[Progress] * 6,
        Trained,
        Finished,
    ]
    started, finished = events[0], events[-1]
    assert (started.step, started.num_steps) == (0, 6)
    assert (finished.status, finished.step) == ("finished", 6)
    assert set(finished.metrics) == {
        "eval/accuracy",
        "eval/linear_accuracy",
        "eval/linear_validation_accuracy",
        "eval/knn_accuracy",
        "eval/rankme",
        "cost/training_seconds",
        "cost/data_wait_share",
        "cost/evaluation_seconds",
    }
    assert finished.metrics["cost/training_seconds"] == events[-3].seconds
    assert 0 < finished.metrics["cost/data_wait_share"] < 1
    assert set(events[1].metrics) == {
        "train/loss",
        "train/grad_norm",
        "target/std",
        "target/effective_rank",
        "prediction/gain",
        "student/local_effective_rank",
        "prediction/std",
        "teacher/tau",
        "optimizer/learning_rate",
    }


def test_the_same_trial_gives_the_same_numbers_and_another_seed_others():
    first, second = run(EVERYTHING_RANDOM), run(EVERYTHING_RANDOM)
    assert losses(first) == losses(second)
    assert first[-1].metrics["eval/linear_accuracy"] == pytest.approx(
        second[-1].metrics["eval/linear_accuracy"], abs=0
    )
    assert losses(run(EVERYTHING_RANDOM, {"seed": 4})) != losses(first)


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize(
    "change",
    [{}, EVERY_KNOB, SECOND, {"objective": {"kind": "supervised"}}],
    ids=["data2vec", "data2vec with every knob", "data2vec 2.0", "supervised"],
)
def test_a_resumed_trial_cannot_be_told_from_an_uninterrupted_one(
    tmp_path, step, change
):
    changes = [EVERYTHING_RANDOM, change]
    whole = run_and_keep_state(*changes)
    interrupted = run_trial(small_trial(*changes), dataset=small_dataset())
    for event in interrupted:
        if isinstance(event, CheckpointDue) and event.state.step == step:
            event.save(tmp_path / "checkpoint.pt")
            interrupted.close()
    torch.manual_seed(12345)  # another process has another global state
    rest = run_and_keep_state(*changes, checkpoint=tmp_path / "checkpoint.pt")

    assert rest.events[0].step == step
    assert rest.progress == whole.progress[step:]
    assert rest.results == whole.results
    for ours, theirs in zip(rest.tensors(), whole.tensors(), strict=True):
        assert torch.equal(ours, theirs)
    assert rest.state.seconds > rest.events[1].seconds


class Run:
    def __init__(self, events, state):
        self.events, self.state = events, state
        self.progress = [
            (e.step, dict(e.metrics)) for e in events if isinstance(e, Progress)
        ]
        finished = events[-1]
        assert isinstance(finished, Finished)
        scores = {k: v for k, v in finished.metrics.items() if k.startswith("eval/")}
        self.results = (finished.status, finished.step, scores, finished.choices)

    def tensors(self):
        yield from self.state.objective.module.state_dict().values()
        yield from self.state.objective.extra_state().values()
        for moments in self.state.optimizer.state_dict()["state"].values():
            yield from moments.values()


def run_and_keep_state(*changes, **options):
    events = run(*changes, **options)
    (state, *_) = [e.state for e in events if isinstance(e, CheckpointDue)]
    return Run(events, state)


def test_a_checkpoint_that_does_not_exist_means_from_the_start(tmp_path):
    events = run(checkpoint=tmp_path / "none.pt")
    assert events[0].step == 0


def test_a_trial_has_no_side_effects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("D2V_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(run_trial(small_trial(EVERYTHING_RANDOM)))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()
    assert list(tmp_path.iterdir()) == []


def test_an_untrained_trial_is_only_evaluated():
    events = run({"objective": {"kind": "untrained"}})
    assert [type(event) for event in events] == [Started, Trained, Finished]
    assert events[0].num_steps == events[-1].step == 0
    assert num_updates(small_trial({"objective": {"kind": "untrained"}})) == 0


def test_a_supervised_trial_is_not_watched_for_collapse():
    events = run(
        {"objective": {"kind": "supervised"}, "health": {"min_target_std": 1e6}}
    )
    assert events[-1].status == "finished"
    assert "train/accuracy" in events[1].metrics


def test_a_collapse_ends_the_training_and_the_result_says_so():
    events = run({"health": {"min_target_std": 1e6, "after": 3}})
    collapsed = [event for event in events if isinstance(event, Collapsed)]
    assert [event.collapse.step for event in collapsed] == [3]
    finished = events[-1]
    assert (finished.status, finished.step) == ("collapsed", 3)
    assert finished.notes[0].startswith("collapsed at step 3: target/std ")
    assert "eval/linear_accuracy" in finished.metrics


def test_training_can_go_on_after_a_collapse_and_the_result_still_says_so():
    events = run({"health": {"min_target_std": 1e6, "on_collapse": "continue"}})
    assert sum(isinstance(event, Collapsed) for event in events) == 1
    assert (events[-1].status, events[-1].step) == ("collapsed", 6)


def test_a_resumed_collapse_is_still_a_collapse(tmp_path):
    changes = {"health": {"min_target_std": 1e6, "on_collapse": "continue"}}
    for event in run_trial(small_trial(changes), dataset=small_dataset()):
        if isinstance(event, CheckpointDue) and event.state.step == 3:
            event.save(tmp_path / "checkpoint.pt")
    events = run(changes, checkpoint=tmp_path / "checkpoint.pt")
    assert not any(isinstance(event, Collapsed) for event in events)
    assert events[-1].status == "collapsed"
    assert events[-1].notes[0].startswith("collapsed at step 1:")


def test_a_learning_rate_that_is_far_too_large_diverges_at_a_named_update():
    with pytest.raises(DivergedError, match=r"diverged at step \d+: the (loss|grad)"):
        run({"optimizer": {"learning_rate": 1e30, "warmup": 0}})


def test_evaluating_the_teacher_gives_other_features_than_the_student():
    slow = {"teacher": {"tau": {"kind": "constant", "value": 1.0}}}
    untrained = run({"objective": {"kind": "untrained"}})[-1]
    frozen = run(slow, {"evaluation": {"network": "teacher"}})[-1]
    names = ["eval/linear_accuracy", "eval/linear_validation_accuracy"]
    # A teacher that never moved is the untrained encoder.
    for name in names:
        assert frozen.metrics[name] == untrained.metrics[name]


def test_the_number_of_parameters_is_the_evaluated_encoders():
    trained = run()[0].num_parameters
    supervised = run({"objective": {"kind": "supervised"}})[0].num_parameters
    teacher = run({"evaluation": {"network": "teacher"}})[0].num_parameters
    assert trained == supervised == teacher


@pytest.mark.parametrize("prefetch", [1, 3])
def test_batches_made_ahead_change_no_number(prefetch):
    plain = run_and_keep_state(EVERYTHING_RANDOM)
    ahead = run_and_keep_state(EVERYTHING_RANDOM, {"execution": {"prefetch": prefetch}})
    assert ahead.progress == plain.progress
    assert ahead.results == plain.results
    for ours, theirs in zip(ahead.tensors(), plain.tensors(), strict=True):
        assert torch.equal(ours, theirs)


def test_only_a_gpu_is_fed_ahead_unless_told():
    assert num_ahead(None, torch.device("cpu")) == 0
    assert num_ahead(None, torch.device("cuda")) == 2
    assert num_ahead(0, torch.device("cuda")) == 0
    assert num_ahead(3, torch.device("cpu")) == 3


@pytest.mark.parametrize(
    "timm_model", ["vit_tiny_patch16_224", "beit_base_patch16_224"]
)
@pytest.mark.parametrize("objective", ["data2vec", "supervised"])
def test_bfloat16_is_close_and_its_weights_stay_float32(timm_model, objective):
    changes = {"vision": {"timm_model": timm_model}, "objective": {"kind": objective}}
    exact = run_and_keep_state(changes)
    mixed = run_and_keep_state(changes, {"training": {"precision": "bfloat16"}})
    assert losses(mixed.events) != losses(exact.events)
    assert losses(mixed.events) == pytest.approx(losses(exact.events), rel=0.05)
    assert all(t.dtype != torch.bfloat16 for t in mixed.tensors())


def test_bfloat16_runs_with_every_knob_and_restricted_attention():
    found = run_and_keep_state(EVERY_KNOB, {"training": {"precision": "bfloat16"}})
    assert found.results[0] == "finished"


def test_networks_that_ran_in_bfloat16_predict_in_it_and_are_scored_in_float32():
    objective = build_objective(small_trial(), num_classes=3)
    images = torch.randn(4, 1, 8, 8)
    with mixed_precision(torch.device("cpu"), "bfloat16"):
        result = update(objective, images, torch.zeros(4), 1)
        assert targets_of(objective, images).dtype == torch.float32
    assert result.loss.dtype == torch.float32
    seen = []
    objective.module["head"].register_forward_hook(lambda m, i, o: seen.append(o.dtype))
    with mixed_precision(torch.device("cpu"), "bfloat16"):
        update(objective, images, torch.zeros(4), 2)
    with mixed_precision(torch.device("cpu"), "float32"):
        update(objective, images, torch.zeros(4), 2)
    assert seen == [torch.bfloat16, torch.float32]


def test_devices_are_taken_as_named():
    assert pick_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto").type == expected


NO_NORM = {"target": {"layer_norm": "none", "final_norm": "none"}}


def test_targets_without_a_norm_are_compared_with_those_of_the_first_update():
    ratios = {"min_target_std": 0.5, "min_prediction_std": 0.0, "after": 1}
    events = run(NO_NORM, {"health": ratios})
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[0].metrics["target/std_ratio"] == 1.0
    assert progress[0].metrics["target/std"] < 0.5  # of the encoder's size, not of 1
    assert events[-1].status == "finished"

    dead = run(NO_NORM, {"health": {**ratios, "min_target_std": 1e6, "after": 2}})
    assert dead[-1].status == "collapsed"
    assert dead[-1].notes[0].startswith("collapsed at step 2: target/std_ratio ")


def test_a_resumed_trial_without_a_norm_remembers_the_first_update(tmp_path):
    straight = run(NO_NORM)
    for event in run_trial(small_trial(NO_NORM), dataset=small_dataset()):
        if isinstance(event, CheckpointDue) and event.state.step == 3:
            event.save(tmp_path / "checkpoint.pt")
    resumed = run(NO_NORM, checkpoint=tmp_path / "checkpoint.pt")
    ratios = [
        e.metrics["target/std_ratio"] for e in straight if isinstance(e, Progress)
    ]
    again = [e.metrics["target/std_ratio"] for e in resumed if isinstance(e, Progress)]
    assert again == ratios[3:]


def test_what_was_found_of_the_data_is_said_before_the_first_update():
    started = next(run_trial(small_trial()))
    assert started.data == (
        "digits (scikit-learn): 1,797 images found, 1,797 used (train 999, valid 199, "
        "test 599)"
    )
    assert started.inventory["used"] == {"train": 999, "valid": 199, "test": 599}


def test_a_torn_checkpoint_is_trained_over(tmp_path):
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(b"PK\x03\x04 cut short")
    started = next(run_trial(small_trial(), checkpoint=file))
    assert started.step == 0
    assert (tmp_path / "checkpoint.pt.torn").exists()
