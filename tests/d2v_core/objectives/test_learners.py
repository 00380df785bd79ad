import math

import numpy as np
import pytest
import torch
from torch import nn

from d2v_core.build import build_learner
from d2v_core.encoders.encoder import Encoder
from d2v_core.objectives.learners import Data2Vec, Masked, Supervised, Untrained
from d2v_core.objectives.parts.losses import l2_loss
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.layers import top_layers


@pytest.fixture
def images():
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.tensor([0, 2, 1, 0])


@pytest.fixture
def learner():
    learner = build_learner(small_trial(), num_classes=3)
    assert isinstance(learner, Data2Vec)
    fill_with_noise(learner.module, seed=1)
    fill_with_noise(learner.teacher.network, seed=2)
    learner.module.eval()
    return learner


class Table(Encoder):
    """Tokens that are parameters: gradients show which positions count."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.depth = 3, 4
        self.tokens = nn.Parameter(torch.randn(2, 5, 3))

    def forward(self, inputs, mask=None):
        return self.tokens

    def top_layers(self, inputs, *, feature, top_k):
        return [inputs + i for i in range(self.depth)][-top_k:]


def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def test_the_loss_is_smooth_l1_to_the_teachers_targets_at_masked_positions(
    learner, images, labels
):
    loss = learner.step(images, labels, step=5).loss

    mask = learner._draw_mask(images, 5).mask
    teacher_layers = top_layers(
        learner.teacher.network, images, feature="block", top_k=2
    )
    a, b = (layer.detach().double().numpy() for layer in teacher_layers)
    targets = layer_norm((layer_norm(a) + layer_norm(b)) / 2)
    tokens = learner.student(images, mask).detach().double().numpy()
    weight = learner.module["head"][0].weight.detach().double().numpy()
    bias = learner.module["head"][0].bias.detach().double().numpy()
    total, count = 0.0, 0
    for sample in range(4):
        for position in range(16):
            if not mask[sample, position]:
                continue
            prediction = weight @ tokens[sample, position] + bias
            for error in np.abs(prediction - targets[sample, position]):
                total += error**2 / 4 if error <= 2 else error - 1
                count += 1
    assert count == int(mask.sum()) * 16
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-4)


def test_gradients_reach_every_part_of_student_and_head_and_never_the_teacher(
    learner, images, labels
):
    learner.step(images, labels, step=1).loss.backward()
    for name, parameter in learner.module.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
    assert all(p.grad is None for p in learner.teacher.network.parameters())


def test_only_masked_positions_count_and_all_of_them_equally():
    mask = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool)
    encoder = Table()
    learner = Data2Vec(
        encoder=encoder,
        head=nn.Identity(),
        draw_mask=lambda inputs, step: Masked(mask, inputs, inputs),
        tau=lambda step: 0.5,
        loss=l2_loss,
        feature="block",
        top_k=2,
        layer_norm="none",
        final_norm="none",
    )
    inputs = torch.randn(2, 5, 3)
    result = learner.step(inputs, torch.zeros(2), 1)
    result.loss.backward()
    targets = inputs + 2.5  # the mean of layers 3 and 4: inputs + 2, inputs + 3
    error = encoder.tokens.detach() - targets
    # Pooled over the batch, not a mean of per-image means.
    torch.testing.assert_close(result.loss.detach(), (error[mask] ** 2).mean())
    expected = torch.where(mask[:, :, None], 2 * error / 9, torch.zeros(()))
    torch.testing.assert_close(encoder.tokens.grad, expected)


def test_the_teacher_sees_the_pixels_the_student_does_not(learner, images, labels):
    mask = learner._draw_mask(images, 1).mask
    first = int(mask[0].nonzero()[0])
    row, column = 2 * (first // 4), 2 * (first % 4)
    changed = images.clone()
    changed[0, :, row : row + 2, column : column + 2] += 5.0
    assert torch.equal(learner.student(changed, mask), learner.student(images, mask))
    assert not torch.allclose(learner.targets(changed), learner.targets(images))


def test_targets_do_not_depend_on_dropout(images):
    trial = small_trial({"vision": {"dropout": 0.5, "drop_path": 0.5}})
    learner = build_learner(trial, num_classes=3)
    learner.module.train()
    assert torch.equal(learner.targets(images), learner.targets(images))


def test_after_an_update_the_teacher_moves_by_that_updates_tau(learner):
    before = [p.clone() for p in learner.teacher.network.parameters()]
    learner.after_update(2)
    # 0.9 of 6 updates are 5; update 2 has tau 0.99 - 0.49 * (1 - 2/5).
    tau = 0.99 - 0.49 * 0.6
    student = learner.student.parameters()
    now = learner.teacher.network.parameters()
    for old, new, own in zip(before, student, now, strict=True):
        torch.testing.assert_close(own, tau * old + (1 - tau) * new)


def test_metrics_tell_the_spread_of_targets_and_predictions(learner, images, labels):
    metrics = learner.step(images, labels, 1).measure()
    assert set(metrics) == {"target/std", "prediction/std", "teacher/tau"}
    mask = learner._draw_mask(images, 1).mask
    targets = learner.targets(images)[mask].double().numpy()
    expected = np.sqrt(targets.var(axis=0, ddof=1) + 1e-6).mean()
    assert metrics["target/std"] == pytest.approx(expected, rel=1e-4)
    assert metrics["teacher/tau"] == pytest.approx(0.99 - 0.49 * 0.8)


def test_student_and_teacher_can_both_be_evaluated(learner):
    assert learner.network("student") is learner.module["encoder"]
    assert learner.network("teacher") is learner.teacher.network


def test_all_networks_move_to_a_device_the_teacher_too(learner):
    learner.to(torch.device("meta"))
    for network in (learner.module, learner.teacher.network):
        assert {p.device.type for p in network.parameters()} == {"meta"}


def supervised(**objective):
    trial = small_trial({"objective": {"kind": "supervised", **objective}})
    learner = build_learner(trial, num_classes=3)
    assert isinstance(learner, Supervised)
    fill_with_noise(learner.module)
    learner.module.eval()
    return learner


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_supervised_is_cross_entropy_of_mean_pooled_tokens(images, labels, smoothing):
    learner = supervised(label_smoothing=smoothing)
    result = learner.step(images, labels, 1)
    pooled = learner.encoder(images).detach().double().numpy().mean(axis=1)
    linear = learner.module["classifier"]
    weight = linear.weight.detach().double().numpy()
    logits = pooled @ weight.T + linear.bias.detach().double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    target = np.full((4, 3), smoothing / 3)
    target[np.arange(4), labels.numpy()] += 1 - smoothing
    expected = -(target * log_p).sum(axis=1).mean()
    assert math.isclose(float(result.loss.detach()), expected, rel_tol=1e-4)
    accuracy = (logits.argmax(axis=1) == labels.numpy()).mean()
    assert result.measure() == {"train/accuracy": pytest.approx(accuracy)}


def test_reference_arms_have_one_network():
    for learner in (
        supervised(),
        build_learner(small_trial({"objective": {"kind": "untrained"}}), num_classes=3),
    ):
        assert learner.network("teacher") is learner.network("student")
        assert learner.extra_state() == {}


def test_an_untrained_encoder_has_no_step(images, labels):
    trial = small_trial({"objective": {"kind": "untrained"}})
    learner = build_learner(trial, num_classes=3)
    assert isinstance(learner, Untrained)
    with pytest.raises(AssertionError, match="no training step"):
        learner.step(images, labels, 1)
