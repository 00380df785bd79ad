import numpy as np
import pytest
import torch
from torch import nn

from d2v_core.build import build_objective
from d2v_core.encoders.encoder import Encoded, Encoder, Tokens
from d2v_core.masks.masked import Masked
from d2v_core.objectives.data2vec import Data2Vec
from d2v_core.objectives.parts.losses import l2_loss
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.updates import targets_of, top_layers, update


@pytest.fixture
def images():
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.tensor([0, 2, 1, 0])


@pytest.fixture
def objective():
    objective = build_objective(small_trial(), num_classes=3)
    assert isinstance(objective, Data2Vec)
    fill_with_noise(objective.module, seed=1)
    fill_with_noise(objective.teacher.network, seed=2)
    objective.module.eval()
    return objective


class Table(Encoder):
    """Tokens that are parameters: gradients show which positions count."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.depth = 3, 4
        self.tokens = nn.Parameter(torch.randn(2, 5, 3))

    def embed(self, inputs):
        return Tokens(inputs)

    def encode(self, tokens, mask=None, keep=None, collect=None):
        layers = [tokens.values + i for i in range(self.depth)]
        top = {} if collect is None else {"block": layers[-collect.top_k :]}
        return Encoded(self.tokens, None, self.tokens[:, :0], top)


def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def test_the_loss_is_smooth_l1_to_the_teachers_targets_at_masked_positions(
    objective, images, labels
):
    loss = update(objective, images, labels, step=5).loss

    mask = objective.draw(images, 5).mask
    teacher_layers = top_layers(
        objective.teacher.network, images, feature="block", top_k=2
    )
    a, b = (layer.detach().double().numpy() for layer in teacher_layers)
    targets = layer_norm((layer_norm(a) + layer_norm(b)) / 2)
    tokens = objective.student(images, mask).detach().double().numpy()
    weight = objective.module["head"][0].weight.detach().double().numpy()
    bias = objective.module["head"][0].bias.detach().double().numpy()
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
    objective, images, labels
):
    update(objective, images, labels, step=1).loss.backward()
    for name, parameter in objective.module.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
    assert all(p.grad is None for p in objective.teacher.network.parameters())


def test_only_masked_positions_count_and_all_of_them_equally():
    mask = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool)
    encoder = Table()
    objective = Data2Vec(
        encoder=encoder,
        head=nn.Identity(),
        masks=lambda inputs, generator: Masked(mask),
        tau=lambda step: 0.5,
        loss=l2_loss,
        feature="block",
        top_k=2,
        layer_norm="none",
        final_norm="none",
    )
    inputs = torch.randn(2, 5, 3)
    result = update(objective, inputs, torch.zeros(2), 1)
    result.loss.backward()
    targets = inputs + 2.5  # the mean of layers 3 and 4: inputs + 2, inputs + 3
    error = encoder.tokens.detach() - targets
    # Pooled over the batch, not a mean of per-image means.
    torch.testing.assert_close(result.loss.detach(), (error[mask] ** 2).mean())
    expected = torch.where(mask[:, :, None], 2 * error / 9, torch.zeros(()))
    torch.testing.assert_close(encoder.tokens.grad, expected)


def test_the_teacher_sees_the_pixels_the_student_does_not(objective, images, labels):
    mask = objective.draw(images, 1).mask
    first = int(mask[0].nonzero()[0])
    row, column = 2 * (first // 4), 2 * (first % 4)
    changed = images.clone()
    changed[0, :, row : row + 2, column : column + 2] += 5.0
    assert torch.equal(
        objective.student(changed, mask), objective.student(images, mask)
    )
    assert not torch.allclose(
        targets_of(objective, changed), targets_of(objective, images)
    )


def test_targets_do_not_depend_on_dropout(images):
    trial = small_trial({"vision": {"dropout": 0.5, "drop_path": 0.5}})
    objective = build_objective(trial, num_classes=3)
    objective.module.train()
    assert torch.equal(targets_of(objective, images), targets_of(objective, images))


def test_after_an_update_the_teacher_moves_by_that_updates_tau(objective):
    before = [p.clone() for p in objective.teacher.network.parameters()]
    objective.after_update(2)
    # 0.9 of 6 updates are 5; update 2 has tau 0.99 - 0.49 * (1 - 2/5).
    tau = 0.99 - 0.49 * 0.6
    student = objective.student.parameters()
    now = objective.teacher.network.parameters()
    for old, new, own in zip(before, student, now, strict=True):
        torch.testing.assert_close(own, tau * old + (1 - tau) * new)


def test_metrics_tell_the_spread_of_targets_and_predictions(objective, images, labels):
    metrics = update(objective, images, labels, 1).measure()
    assert set(metrics) == {"target/std", "prediction/std", "teacher/tau"}
    mask = objective.draw(images, 1).mask
    targets = targets_of(objective, images)[mask].double().numpy()
    expected = np.sqrt(targets.var(axis=0, ddof=1) + 1e-6).mean()
    assert metrics["target/std"] == pytest.approx(expected, rel=1e-4)
    assert metrics["teacher/tau"] == pytest.approx(0.99 - 0.49 * 0.8)


def test_student_and_teacher_can_both_be_evaluated(objective):
    assert objective.network("student") is objective.module["encoder"]
    assert objective.network("teacher") is objective.teacher.network


def test_all_networks_move_to_a_device_the_teacher_too(objective):
    objective.to(torch.device("meta"))
    for network in (objective.module, objective.teacher.network):
        assert {p.device.type for p in network.parameters()} == {"meta"}
