"""What the teacher shares and sees, and what is told of a logged update."""

import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.objectives.parts.targets import normalise
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.updates import targets_of, update


@pytest.fixture
def images():
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.tensor([0, 2, 1, 0])


def filled(*changes):
    objective = build_objective(small_trial(*changes), num_classes=3)
    fill_with_noise(objective.module, seed=1)
    fill_with_noise(objective.teacher.network, seed=2)
    objective.module.eval()
    return objective


@pytest.fixture
def objective():
    return filled()


def test_shared_parts_are_the_students_after_every_update(images, labels):
    shares = {"teacher": {"shares": ["feature_encoder", "positions"]}}
    objective = build_objective(small_trial(shares), num_classes=3)
    optimizer = torch.optim.SGD(objective.module.parameters(), lr=0.5)
    expected = {n: p.detach().clone() for n, p in objective.student.named_parameters()}
    for step in (1, 2, 3):
        update(objective, images, labels, step).loss.backward()
        optimizer.step()
        objective.after_update(step)
        tau = 0.99 - 0.49 * (1 - step / 5)
        for name, parameter in objective.student.named_parameters():
            expected[name] = tau * expected[name] + (1 - tau) * parameter.detach()
    student = dict(objective.student.named_parameters())
    names = {"vit.patch_embed.proj.weight", "vit.patch_embed.proj.bias"}
    names.add("vit.pos_embed")
    for name, own in objective.teacher.network.named_parameters():
        if name in names:
            assert torch.equal(own, student[name])
            assert not torch.allclose(own, expected[name], atol=1e-6)
        else:
            torch.testing.assert_close(own, expected[name])


def with_context(share, images):
    """Targets, loss and both networks' features of an untouched objective."""
    objective = filled({"teacher": {"context": share}})
    mask = objective.draw(images, 1).mask
    with torch.no_grad():
        targets = targets_of(objective, images)
        loss = update(objective, images, torch.zeros(4), 1).loss
        features = objective.student(images, mask), objective.network("teacher")(images)
    return targets, loss, *features


def test_a_context_of_everything_is_none(images):
    everything, none = with_context(1.0, images), with_context(None, images)
    assert all(map(torch.equal, everything, none))


def test_a_context_restricts_the_targets_but_no_student_and_no_evaluation(images):
    targets, loss, student, teacher = with_context(0.2, images)
    others = with_context(None, images)
    assert not torch.allclose(targets, others[0])
    assert not torch.allclose(loss, others[1])
    assert torch.equal(student, others[2])
    assert torch.equal(teacher, others[3])


def test_description_tells_the_gain_and_the_rank_of_targets_and_local_features(
    objective, images, labels
):
    described = update(objective, images, labels, 1).describe()
    assert set(described) == {
        "target/effective_rank",
        "prediction/gain",
        "student/local_effective_rank",
    }
    mask = objective.draw(images, 1).mask
    targets = targets_of(objective, images)[mask].double().numpy()
    tokens = objective.student(images, mask)[mask]
    error = objective.module["head"](tokens).detach().double().numpy() - targets
    spread = targets - targets.mean(axis=0)
    gain = 1 - (error**2).sum() / (spread**2).sum()
    assert described["prediction/gain"] == pytest.approx(gain, rel=1e-4)
    # 2 x 2 pixels in one channel: however many channels, four directions.
    assert 1.0 < described["student/local_effective_rank"] <= 4.0


def test_a_collapsed_patch_embedding_shows_although_positions_keep_the_spread(
    objective, images, labels
):
    with torch.no_grad():
        for network in (objective.student, objective.teacher.network):
            network.vit.patch_embed.proj.weight.zero_()
    result = update(objective, images, labels, 1)
    assert result.measure()["target/std"] > 0.1
    assert result.describe()["student/local_effective_rank"] == 0.0


MODELS = ("vit_tiny_patch16_224", "beit_base_patch16_224")
CONTEXTS = (None, 0.2)


@pytest.mark.parametrize(
    ("timm_model", "norm", "feature", "context"),
    [  # so each pair of two of them occurs
        (MODELS[(i + j) % 2], norm, feature, CONTEXTS[(i + (j + 1) // 2) % 2])
        for i, norm in enumerate(("none", "layer", "instance", "batch", "group"))
        for j, feature in enumerate(("ffn", "attention", "block"))
    ],
)
def test_the_loss_is_to_these_targets_however_few_positions_are_computed(
    images, labels, timm_model, norm, feature, context
):
    objective = filled(
        {
            "vision": {"timm_model": timm_model},
            "target": {"layer_norm": norm, "final_norm": "none", "feature": feature},
            "teacher": {"context": context},
        }
    )
    mask = objective.draw(images, 1).mask
    with torch.no_grad():
        predictions = objective.module["head"](objective.student(images, mask)[mask])
        expected = objective._distance(predictions, targets_of(objective, images)[mask])
        torch.testing.assert_close(update(objective, images, labels, 1).loss, expected)


def test_the_number_of_groups_reaches_the_targets(images):
    group = {"layer_norm": "none", "final_norm": "group", "top_k": 1}
    plain = filled({"target": {**group, "final_norm": "none"}})
    average = targets_of(plain, images)
    for num_groups in (1, 4):
        objective = filled({"target": {**group, "num_groups": num_groups}})
        expected = normalise(average, "group", num_groups=num_groups)
        torch.testing.assert_close(targets_of(objective, images), expected)
