"""data2vec on speech: what one update computes, with padding and shared parts."""

import numpy as np
import pytest
import torch

from d2v_core.build import build_objective
from d2v_core.encoders.inputs import Padded
from d2v_core.errors import DataError
from tests.d2v_core.golden import five_losses
from tests.d2v_core.small import fill_with_noise, fill_with_ramp
from tests.d2v_core.small_speech import LOG_MEL, noise, small_speech_trial
from tests.d2v_core.updates import targets_of, top_layers, update

LENGTHS = (900, 500, 700, 640)
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
VARIANTS = {
    "published": {},
    "group normalised targets": {
        "target": {"layer_norm": "group", "num_groups": 4, "final_norm": "batch"}
    },
    "restricted teacher": {"teacher": {"context": 0.3}},
    "nothing shared": {"teacher": {"shares": []}},
    "pre-norm blocks": {"speech": {"norm": "pre"}, "target": {"layer_norm": "layer"}},
}


GOLDEN = {
    "wav2vec2": [3.9600077, 3.7169609, 3.5091705, 2.5834851, 4.2388134],
    "log mel": [5.1414704, 2.8775487, 3.2865376, 3.8106089, 3.5686309],
}


def small_objective(*changes):
    objective = build_objective(small_speech_trial(*changes), num_classes=0)
    fill_with_noise(objective.module, seed=1)
    fill_with_noise(objective.teacher.network, seed=2)
    shared = dict(objective.student.named_parameters())
    with torch.no_grad():
        for name, own in objective.teacher.network.named_parameters():
            if name.startswith("front_end."):
                own.copy_(shared[name])
    objective.module.eval()
    return objective


def row_of(waves, i):
    length = waves.lengths[i]
    return Padded(waves.values[i : i + 1, :length], (length,))


def instance_norm(x):
    centred = x - x.mean(axis=0)
    return centred / np.sqrt((centred**2).mean(axis=0) + 1e-5)


def test_the_loss_is_the_papers_from_each_utterance_on_its_own():
    objective = small_objective()
    waves = noise(LENGTHS, padding=9.0)
    mask = objective.draw(waves, 1).mask.numpy()
    linear = objective.module["head"][0]
    weight = linear.weight.detach().double().numpy()
    bias = linear.bias.detach().double().numpy()
    losses = []
    for i in range(len(waves)):
        alone = row_of(waves, i)
        layers = top_layers(objective.teacher.network, alone, feature="ffn", top_k=2)
        a, b = (layer[0].detach().double().numpy() for layer in layers)
        targets = (instance_norm(a) + instance_norm(b)) / 2
        masked = mask[i, : len(targets)]
        assert not mask[i, len(targets) :].any()
        tokens = objective.student(alone, torch.from_numpy(masked)[None])
        predictions = tokens[0].detach().double().numpy() @ weight.T + bias
        losses += list(((predictions - targets)[masked] ** 2).sum(axis=1) / 4.0)
    found = update(objective, waves, None, 1).loss
    assert len(losses) == mask.sum()
    assert float(found.detach()) == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS.keys())
def test_what_stands_in_the_padding_changes_nothing(change):
    objective = small_objective(change)
    found = []
    for padding in (0.0, 40.0):
        waves = noise(LENGTHS, padding=padding)
        objective.module.zero_grad()
        result = update(objective, waves, None, 1)
        result.loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in objective.module.parameters()])
        real = objective.student.real(waves)
        found.append(
            (
                result.loss.detach(),
                gradients,
                targets_of(objective, waves)[real],
                torch.tensor([*result.measure().values(), *result.describe().values()]),
            )
        )
    for clean, dirty in zip(*found, strict=True):
        torch.testing.assert_close(dirty, clean, **CLOSE)


def test_the_order_of_a_batch_changes_no_target():
    objective = small_objective()
    waves, order = noise(LENGTHS), [3, 1, 0, 2]
    shuffled = Padded(waves.values[order], tuple(LENGTHS[i] for i in order))
    real = objective.student.real(shuffled)
    torch.testing.assert_close(
        targets_of(objective, shuffled)[real],
        targets_of(objective, waves)[order][real],
        **CLOSE,
    )


def counted(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize(
    ("shares", "times"), [(["feature_encoder", "positions"], (1, 0)), ([], (1, 1))]
)
def test_a_shared_front_end_runs_once(shares, times):
    objective = small_objective({"teacher": {"shares": shares}})
    networks = (objective.student, objective.teacher.network)
    calls = [counted(network.front_end) for network in networks]
    update(objective, noise(LENGTHS), None, 1).loss.backward()
    assert tuple(map(len, calls)) == times


def test_sharing_the_features_gives_the_loss_of_computing_them_twice():
    waves = noise(LENGTHS)
    alike = small_objective()
    apart = small_objective({"teacher": {"shares": ["positions"]}})
    losses = [update(one, waves, None, 1).loss for one in (alike, apart)]
    torch.testing.assert_close(*[loss.detach() for loss in losses])
    gradients = []
    for objective, loss in zip((alike, apart), losses, strict=True):
        loss.backward()
        front_end = objective.student.front_end.parameters()
        gradients.append(torch.cat([p.grad.flatten() for p in front_end]))
    # None of it comes through the targets.
    torch.testing.assert_close(*gradients)


def test_gradients_reach_every_part_of_the_student_and_never_the_teacher():
    objective = small_objective()
    update(objective, noise(LENGTHS), None, 1).loss.backward()
    for name, parameter in objective.module.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
    teacher = objective.teacher.network
    assert all(p.grad is None for p in teacher.parameters())
    assert not targets_of(objective, noise(LENGTHS)).requires_grad


def test_shared_parts_are_copied_and_the_rest_is_averaged():
    objective = small_objective()
    before = {k: v.clone() for k, v in objective.teacher.network.named_parameters()}
    objective.after_update(2)
    tau = 0.99 - 0.49 * 0.6
    student = dict(objective.student.named_parameters())
    for name, own in objective.teacher.network.named_parameters():
        averaged = tau * before[name] + (1 - tau) * student[name]
        shared = name.startswith(("front_end.", "positions."))
        torch.testing.assert_close(own, student[name] if shared else averaged)


def test_masks_are_a_function_of_seed_update_and_lengths():
    objective, waves = small_objective(), noise(LENGTHS)
    mask = objective.draw(waves, 4).mask
    assert mask.shape == (4, max(objective.student.frame_lengths(waves)))
    assert torch.equal(mask, small_objective().draw(noise(LENGTHS, seed=5), 4).mask)
    assert not torch.equal(mask, objective.draw(waves, 5).mask)
    other = small_objective({"seed": 4})
    assert not torch.equal(mask, other.draw(waves, 4).mask)


def test_an_utterance_of_one_frame_cannot_be_masked():
    objective = small_objective()
    with pytest.raises(DataError, match="2 frames to be masked, got 1; raise waveform"):
        update(objective, noise([900, 35]), None, 1)


def golden_batch(lengths):
    def batch(step):
        place = np.arange(len(lengths) * lengths[0])
        samples = (place * place * 37 + 11 * step) % 1013 / 350.0 - 1.4
        values = torch.from_numpy(samples).float().view(len(lengths), -1)
        return Padded(values, lengths), Padded(torch.zeros(2, 0), (0, 0))

    return batch


def fill(module):
    """Ramps, around one in norms: frames would all become alike."""
    fill_with_ramp(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter += 1.0


@pytest.mark.parametrize("name", GOLDEN)
def test_losses_of_five_updates_are_the_golden_ones(name):
    change = LOG_MEL if name == "log mel" else {}
    trial = small_speech_trial(change, {"optimizer": {"learning_rate": 1e-3}})
    objective = build_objective(trial, num_classes=0)
    fill(objective.module)
    fill(objective.network("teacher"))
    batches = golden_batch((3_200, 2_600) if change else (800, 640))
    losses = five_losses(trial, objective, batches)
    assert losses == pytest.approx(GOLDEN[name], rel=2e-5)
