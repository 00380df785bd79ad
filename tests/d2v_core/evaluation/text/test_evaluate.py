import numpy as np
import pytest
import torch

from d2v_core.build import build_encoder
from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.data.text.tasks import Samples, Task
from d2v_core.encoders.inputs import Padded
from d2v_core.errors import ConfigError
from d2v_core.evaluation.text.evaluate import evaluate_texts
from d2v_core.evaluation.text.features import extract_features
from d2v_core.evaluation.text.fine_tuning import (
    ClassificationHead,
    _batch,
    fine_tune_task,
    task_tuning,
)
from d2v_core.modalities.text import MODALITY as TEXT
from tests.d2v_core.small import fill_with_noise
from tests.d2v_core.small_text import (
    small_samples,
    small_task,
    small_text_dataset,
    small_text_trial,
)

TUNING = {"num_steps": 30, "batch_size": 8, "learning_rates": [3e-3], "beta2": 0.98}


@pytest.fixture
def encoder():
    encoder = build_encoder(small_text_trial({"text": {"dropout": 0.5}}))
    fill_with_noise(encoder)
    return encoder.train()


def config(**changes):
    return small_text_trial({"evaluation": changes}).evaluation


def one_by_one(encoder, rows, pooling):
    encoder.eval()
    with torch.no_grad():
        tokens = [
            encoder(Padded(torch.from_numpy(row)[None], (len(row),)))[0].numpy()
            for row in rows
        ]
    encoder.train()
    return np.stack([t.mean(axis=0) if pooling == "mean" else t[0] for t in tokens])


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_features_are_each_rows_tokens_without_padding(encoder, pooling):
    tokenizer, samples = small_text_dataset().tokenizer, small_samples(200, seed=4)
    found = extract_features(
        encoder, tokenizer, samples, pooling=pooling, pairs="separate"
    )
    assert encoder.training
    expected = one_by_one(encoder, tokenizer.rows(samples.first, 24), pooling)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_pairs_are_compared_or_read_jointly(encoder):
    tokenizer = small_text_dataset().tokenizer
    samples = small_samples(9, seed=4, pairs=True)
    options = {"pooling": "mean", "pairs": "separate"}
    u, v = (
        extract_features(
            encoder, tokenizer, Samples(texts, None, samples.labels), **options
        )
        for texts in (samples.first, samples.second)
    )
    found = extract_features(encoder, tokenizer, samples, **options)
    np.testing.assert_allclose(found, np.hstack([u, v, abs(u - v), u * v]), atol=1e-6)
    joint = extract_features(encoder, tokenizer, samples, pooling="mean", pairs="joint")
    rows = tokenizer.pair_rows(samples.first, samples.second, 24)
    np.testing.assert_allclose(joint, one_by_one(encoder, rows, "mean"), atol=1e-4)


def test_the_score_is_the_mean_over_tasks_and_choices_are_recorded(encoder):
    result = evaluate_texts(encoder, small_text_dataset(), config(), seed=0)
    assert set(result.metrics) == {
        "eval/animal_accuracy",
        "eval/same_accuracy",
        "eval/glue_score",
        "eval/glue_validation_score",
        "eval/linear_accuracy",
        "eval/rankme",
    }
    single, pair = (result.metrics[f"eval/{n}_accuracy"] for n in ("animal", "same"))
    assert result.metrics["eval/glue_score"] == pytest.approx((single + pair) / 2)
    assert result.metrics["eval/linear_accuracy"] == single
    assert single > 60
    assert set(result.choices) == {"evaluation.animal.l2", "evaluation.same.l2"}
    assert set(result.choices.values()) <= {0.01, 0.1, 1.0}


def test_test_labels_change_no_choice(encoder):
    a = evaluate_texts(encoder, small_text_dataset(), config(), seed=0)
    task = small_task()
    other = Task(**{**vars(task), "tests": {"": small_samples(14, seed=77)}})
    changed = small_text_dataset(other, small_task("same", pairs=True))
    b = evaluate_texts(encoder, changed, config(), seed=0)
    assert a.choices == b.choices
    name = "eval/glue_validation_score"
    assert a.metrics[name] == b.metrics[name]


def regression(count, seed):
    """How often ``ape`` stands in the text."""
    samples = small_samples(count, seed=seed)
    labels = [float(text.split().count("ape")) for text in samples.first]
    return Samples(samples.first, None, np.array(labels))


def regression_task():
    return Task(
        name="count",
        classes=(),
        score="pearson_and_spearman",
        train=regression(60, 0),
        valid=regression(20, 1),
        tests={"": regression(20, 2)},
    )


def test_a_regression_is_scored_by_its_correlations(encoder):
    dataset = small_text_dataset(regression_task())
    metrics = evaluate_texts(encoder, dataset, config(), seed=0).metrics
    mean = (metrics["eval/count_pearson"] + metrics["eval/count_spearman"]) / 2
    assert metrics["eval/glue_score"] == pytest.approx(mean)
    assert metrics["eval/count_pearson"] > 50
    assert "eval/linear_accuracy" not in metrics


def test_few_labels_are_balanced_and_drawn_with_the_seed(encoder, monkeypatch):
    seen = []

    def recorded(train, draws, valid, **options):
        seen.extend(train.labels[draw] for draw in draws)
        raise InterruptedError

    monkeypatch.setattr("d2v_core.evaluation.text.probes.fit_probes", recorded)
    few = config(num_labels=12, num_label_draws=3)
    with pytest.raises(InterruptedError):
        evaluate_texts(encoder, small_text_dataset(), few, seed=0)
    assert [np.bincount(labels).tolist() for labels in seen] == [[6, 6]] * 3


@pytest.mark.parametrize("tasks", [(), ("regression",)], ids=str)
def test_scores_at_few_labels_are_means_with_all_labels_beside_them(encoder, tasks):
    given = (regression_task(),) if tasks else ()
    dataset = small_text_dataset(*given)
    few = config(num_labels=12, num_label_draws=4)
    result = evaluate_texts(encoder, dataset, few, seed=0)
    everything = evaluate_texts(encoder, dataset, config(), seed=0)
    assert everything.draws == {}
    names = {"eval/rankme", "eval/glue_validation_score"}
    names = set(everything.metrics) - names
    assert set(result.draws) == names
    for name in names:
        each = result.draws[name]
        assert len(each) == 4
        assert result.metrics[name] == pytest.approx(np.mean(each))
        whole = result.metrics[f"{name}_all_labels"]
        assert whole == pytest.approx(everything.metrics[name])
    if not tasks:
        both = [result.draws[f"eval/{n}_accuracy"] for n in ("animal", "same")]
        scores = result.draws["eval/glue_score"]
        np.testing.assert_allclose(scores, np.mean(both, axis=0))


def test_more_labels_than_a_task_has_are_refused_when_the_data_is_loaded():
    trial = small_text_trial({"evaluation": {"num_labels": 100_000}})
    with pytest.raises(ConfigError, match="must be at most the labelled training samp"):
        TEXT.load_data(trial)


def test_fine_tuning_learns_from_the_first_draw(encoder, monkeypatch):
    seen = []

    def recorded(encoder, tokenizer, task, options, **others):
        seen.append(task.train.labels.tolist())
        raise InterruptedError

    monkeypatch.setattr("d2v_core.evaluation.text.evaluate.fine_tune_task", recorded)
    for draws in (1, 3):
        options = config(
            method="fine_tune",
            fine_tuning=TUNING,
            num_labels=12,
            num_label_draws=draws,
        )
        with pytest.raises(InterruptedError):
            evaluate_texts(encoder, small_text_dataset(), options, seed=0)
    assert len(seen[0]) == 12
    assert seen[0] == seen[1]


@pytest.mark.parametrize("task", [small_task(), regression_task()], ids=str)
def test_fine_tuning_learns_and_leaves_the_encoder_alone(task):
    encoder = build_encoder(small_text_trial())
    before = [p.clone() for p in encoder.parameters()]
    tuning = {**TUNING, "num_steps": 120}
    options = config(method="fine_tune", fine_tuning=tuning)
    tokenizer = small_text_dataset().tokenizer
    tuned, found = fine_tune_task(encoder, tokenizer, task, options, seed=0)
    assert tuned.learning_rate == 3e-3
    labels = task.tests[""].labels
    if task.classes:
        assert (found[""] == labels).mean() > 0.9
    else:
        assert np.corrcoef(found[""], labels)[0, 1] > 0.7
        assert found[""].mean() == pytest.approx(labels.mean(), abs=1.0)
    assert all(
        torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True)
    )


def test_fine_tuned_scores_are_logged_with_the_chosen_rate(encoder):
    tuning = {**TUNING, "learning_rates": [1e-3, 1e-9]}
    options = config(method="fine_tune", fine_tuning=tuning)
    result = evaluate_texts(encoder, small_text_dataset(small_task()), options, seed=0)
    assert set(result.metrics) == {
        "eval/animal_accuracy",
        "eval/glue_score",
        "eval/glue_validation_score",
        "eval/rankme",
    }
    assert set(result.choices) == {"evaluation.animal.learning_rate"}
    (note,) = result.notes
    assert note.endswith("lies on the edge of its grid")


def test_the_head_is_robertas():
    head = ClassificationHead(dim=6, num_outputs=3, dropout=0.0)
    fill_with_noise(head)
    tokens = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    w, b, v, c = (p.detach().numpy() for p in head.parameters())
    expected = np.tanh(tokens[:, 0].numpy() @ w.T + b) @ v.T + c
    np.testing.assert_allclose(head(tokens).detach().numpy(), expected, atol=1e-6)


def test_epochs_and_the_batch_of_small_tasks_are_the_tasks_own():
    options = config(
        method="fine_tune",
        fine_tuning={**TUNING, "batch_size": 32},
        fine_tuning_epochs=10,
        small_task_batch_size=16,
    )
    cola, sst = task_tuning(options, 8_551), task_tuning(options, 67_349)
    assert (cola.num_steps, cola.batch_size) == (5344, 16)
    assert (sst.num_steps, sst.batch_size) == (21047, 32)
    same = task_tuning(config(method="fine_tune", fine_tuning=TUNING), 50)
    assert same == FineTuningConfig.model_validate(TUNING)


def test_batches_are_shuffled_passes():
    taken = np.concatenate([_batch(step, 4, 10, 0) for step in range(1, 6)])
    assert sorted(taken[:10]) == sorted(taken[10:]) == list(range(10))
    assert taken[:10].tolist() != taken[10:].tolist()
