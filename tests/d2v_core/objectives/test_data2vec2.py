"""data2vec 2.0: what its masks share, and what the student never sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from d2v_core.build import build_objective
from d2v_core.config import TrialConfig
from d2v_core.encoders.token_inputs import pad_rows
from d2v_core.errors import ConfigError
from d2v_core.modalities import modality_of
from d2v_core.objectives.data2vec2 import Data2Vec2, masks_draw
from d2v_core.training.parallel import Workers
from tests.d2v_core.small import fill_with_noise, small_trial
from tests.d2v_core.small_speech import noise, small_speech_trial
from tests.d2v_core.small_text import small_text_trial
from tests.d2v_core.updates import targets_of, update

DECODER = {"width": 16, "depth": 2, "kernel": 3, "groups": 4}
OBJECTIVE = {
    "objective": {"kind": "data2vec2", "num_masks": 3, "decoder": DECODER},
    "mask": {"kind": "inverse_block", "ratio": 0.6, "block": 2, "adjust": 0.0},
    "target": {"feature": "ffn", "layer_norm": "instance", "final_norm": "layer"},
    "loss": {"kind": "l2", "scale": "inverse_sqrt_dim"},
}
UNEVEN = {"mask": {"kind": "block", "ratio": 0.6, "min_patches": 2}}
MAKERS = {
    "vision": small_trial,
    "speech": small_speech_trial,
    "text": small_text_trial,
}


def made(modality: str = "vision", *changes: Any) -> tuple[TrialConfig, Data2Vec2]:
    trial = MAKERS[modality](OBJECTIVE, *changes)
    objective = build_objective(trial, num_classes=3)
    assert isinstance(objective, Data2Vec2)
    fill_with_noise(objective.module, seed=1)
    fill_with_noise(objective.teacher.network, seed=2)
    objective.module.eval()
    return trial, objective


def inputs_of(modality: str, trial: TrialConfig, num: int = 4) -> Any:
    if modality == "vision":
        generator = torch.Generator().manual_seed(1)
        return torch.randn(num, 1, 8, 8, generator=generator)
    if modality == "speech":
        return noise([800] * num)
    example = modality_of(trial).example(trial, num)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 280, example.values.shape, generator=generator)
    return replace(example, values=torch.where(example.values < 5, example.values, ids))


def one_mask(draw: Any, which: int, real: Any) -> Any:
    return masks_draw(draw.mask[:, which : which + 1], real)


def silent(objective: Data2Vec2) -> None:
    """Noise would differ between one mask and several."""
    objective._noise_std = 0.0


@pytest.mark.parametrize("modality", MAKERS)
def test_several_masks_give_the_mean_of_the_losses_of_each(modality: str) -> None:
    trial, objective = made(modality)
    silent(objective)
    inputs = inputs_of(modality, trial)
    draw = objective.draw(inputs, 2)
    together = objective.loss(inputs, None, draw, 2).loss
    real = objective.student.real(inputs)
    objective._num_masks = 1
    alone = [
        objective.loss(inputs, None, one_mask(draw, which, real), 2).loss
        for which in range(3)
    ]
    assert len({float(loss.detach()) for loss in alone}) == 3
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_uneven_masks_are_weighted_by_their_number_of_hidden_positions() -> None:
    trial, objective = made(
        "vision", UNEVEN, {"objective": {"class_token_weight": 5.0}}
    )
    silent(objective)
    inputs = inputs_of("vision", trial)
    draws = (objective.draw(inputs, step) for step in range(1, 50))
    draw = next(draw for draw in draws if draw.rows is not None)
    together = objective.loss(inputs, None, draw, 1).loss
    objective._num_masks = 1
    alone = [one_mask(draw, which, None) for which in range(3)]
    losses = torch.stack([objective.loss(inputs, None, d, 1).loss for d in alone])
    weights = torch.tensor([float(len(d.positions)) for d in alone])
    torch.testing.assert_close(together, (losses * weights).sum() / weights.sum())


@pytest.mark.parametrize("modality", MAKERS)
@pytest.mark.parametrize("num_masks", [1, 5])
def test_feature_encoder_and_teacher_run_once_per_sample(
    modality: str, num_masks: int
) -> None:
    trial, objective = made(modality, {"objective": {"num_masks": num_masks}})
    inputs = inputs_of(modality, trial)
    rows: dict[str, list[int]] = {"embed": [], "teacher": [], "teacher embed": []}

    def watch(owner: Any, method: str, name: str) -> None:
        plain = getattr(owner, method)

        def watched(first: Any, *rest: Any, **options: Any) -> Any:
            values = first if isinstance(first, torch.Tensor) else first.values
            rows[name].append(len(values))
            return plain(first, *rest, **options)

        setattr(owner, method, watched)

    watch(objective.student, "embed", "embed")
    watch(objective.teacher.network, "encode", "teacher")
    watch(objective.teacher.network, "embed", "teacher embed")
    objective.loss(inputs, None, objective.draw(inputs, 1), 1)
    shares = "feature_encoder" in trial.teacher.shares
    assert rows == {
        "embed": [4],
        "teacher": [4],
        "teacher embed": [] if shares else [4],
    }


def test_nothing_of_a_patch_hidden_by_all_masks_reaches_student_or_gradient() -> None:
    trial, objective = made()
    images = inputs_of("vision", trial).requires_grad_()
    draw = objective.draw(images, 1)
    hidden = draw.mask.all(dim=1)
    assert hidden.any()
    targets = objective.targets
    fixed = targets(objective.teacher.network.embed(images.detach()))
    objective.targets = lambda tokens: fixed  # type: ignore[method-assign]
    (gradient,) = torch.autograd.grad(
        objective.loss(images, None, draw, 1).loss, images
    )
    of_patch = gradient.unfold(2, 2, 2).unfold(3, 2, 2).abs().sum(dim=(1, 4, 5))
    assert torch.equal(of_patch.flatten(1) == 0.0, hidden)
    changed = images.detach().clone()
    changed += 9.0 * hidden.view(4, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(
        2, 3
    )
    assert torch.equal(
        objective.loss(changed, None, draw, 1).loss,
        objective.loss(images.detach(), None, draw, 1).loss,
    )


@pytest.mark.parametrize("modality", ["speech", "text"])
def test_no_gradient_of_the_student_reaches_hidden_features(modality: str) -> None:
    trial, objective = made(modality)
    inputs = inputs_of(modality, trial)
    draw = objective.draw(inputs, 1)
    tokens = objective.student.embed(inputs)
    values = tokens.values.detach().requires_grad_()
    encoded = objective.student.encode(replace(tokens, values=values), keep=draw.kept)
    predictions = objective.module["head"](
        objective._filled(encoded, draw, 1), draw.positions
    )
    (gradient,) = torch.autograd.grad(predictions.square().sum(), values)
    never_kept = draw.mask.all(dim=1)
    assert never_kept.any()
    assert torch.equal(gradient.abs().sum(dim=2) == 0.0, never_kept)


def test_the_loss_is_that_of_the_written_out_formula() -> None:
    """Image by image and mask by mask, with the noise that the update draws."""
    trial, objective = made("vision", {"objective": {"class_token_weight": 0.3}})
    images = inputs_of("vision", trial)
    draw = objective.draw(images, 4)
    found = objective.loss(images, None, draw, 4).loss
    targets = targets_of(objective, images)
    tokens = objective.student.embed(images)
    everything = objective.student.encode(tokens, keep=draw.kept)
    slots = objective._filled(everything, draw, 4)
    errors, of_class = [], []
    for image in range(4):
        for which in range(3):
            copy, hidden = 3 * image + which, draw.mask[image, which]
            keep = ~hidden[None]
            alone = objective.student.encode(
                objective.student.embed(images[image : image + 1]), keep=keep
            )
            filled = slots[copy].clone()
            assert filled[hidden].std() < 0.02  # noise
            torch.testing.assert_close(filled[~hidden], alone.tokens[0])
            predicted = objective.module["head"](filled[None], hidden.nonzero()[:, 0])
            errors.append(predicted - targets[image, hidden])
            of_class.append(alone.prefix[0, 0] - targets[image].mean(dim=0))
    dim = targets.shape[2]
    regression = torch.cat(errors).square().sum(dim=1).mean() / dim**0.5
    class_loss = torch.stack(of_class).square().sum(dim=1).mean() / dim**0.5
    torch.testing.assert_close(found, regression + 0.3 * class_loss)


def test_the_targets_are_instance_normed_averaged_and_layer_normed() -> None:
    trial, objective = made()
    images = inputs_of("vision", trial)
    teacher = objective.teacher.network
    seen: list[torch.Tensor] = []
    for block in teacher.vit.blocks[-trial.target.top_k :]:
        block.drop_path2.register_forward_pre_hook(lambda m, given: seen.append(*given))
    found = targets_of(objective, images)
    normed = [F.instance_norm(x[:, 1:].transpose(1, 2)).mT for x in seen]
    average = torch.stack(normed).mean(dim=0)
    torch.testing.assert_close(found, F.layer_norm(average, average.shape[-1:]))


def test_noise_has_its_deviation_and_is_that_of_the_update() -> None:
    trial, objective = made("vision", {"objective": {"noise_std": 0.5}})
    images = inputs_of("vision", trial, 64)
    draw = objective.draw(images, 1)
    encoded = objective.student.encode(objective.student.embed(images), keep=draw.kept)
    hidden = draw.mask.flatten(0, 1)
    found = objective._filled(encoded, draw, 1)[hidden].detach()
    assert float(found.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(found.std()) == pytest.approx(0.5, abs=0.01)
    assert torch.equal(found, objective._filled(encoded, draw, 1)[hidden])
    assert not torch.equal(found, objective._filled(encoded, draw, 2)[hidden])


def test_two_workers_draw_the_noise_of_one() -> None:
    trial, objective = made("vision", {"objective": {"noise_std": 1.0}})
    images = inputs_of("vision", trial)
    draw = objective.draw(images, 1)
    encoded = objective.student.encode(objective.student.embed(images), keep=draw.kept)
    whole = objective._filled(encoded, draw, 1)
    for rank, rows in enumerate((slice(0, 2), slice(2, 4))):
        share = masks_draw(draw.mask[rows], None)
        tokens = objective.student.embed(images[rows])
        objective._workers = Workers(rank, 2)
        half = objective._filled(
            objective.student.encode(tokens, keep=share.kept), share, 1
        )
        hidden = share.mask.flatten(0, 1)
        theirs = whole[3 * rows.start : 3 * rows.stop]
        assert torch.equal(half[hidden], theirs[hidden])


def test_the_masks_of_fewer_are_the_first_of_more() -> None:
    trial, three = made()
    _, five = made("vision", {"objective": {"num_masks": 5}})
    images = inputs_of("vision", trial)
    drawn = five.draw(images, 3).mask
    assert torch.equal(three.draw(images, 3).mask, drawn[:, :3])
    assert len({tuple(mask.flatten().tolist()) for mask in drawn.transpose(0, 1)}) == 5
    one = build_objective(
        MAKERS["vision"](OBJECTIVE, {"objective": {"kind": "data2vec"}}), num_classes=3
    )
    assert torch.equal(one.draw(images, 3).mask, drawn[:, 0])


def test_a_row_of_text_does_not_depend_on_the_padding_of_others() -> None:
    trial, objective = made("text")
    silent(objective)
    rows = [[0, 7, 8, 9, 10, 2], [0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 2]]
    arrays = [np.array(row) for row in rows]
    both, alone = pad_rows(arrays), pad_rows(arrays[:1])
    draw = objective.draw(both, 1)
    assert draw.kept.real is not None
    own = masks_draw(draw.mask[:1, :, :6], None)

    def predicted(inputs: Any, drawn: Any) -> torch.Tensor:
        tokens = objective.student.embed(inputs)
        encoded = objective.student.encode(tokens, keep=drawn.kept)
        real = tokens.real
        real = None if real is None else real.repeat_interleave(3, 0)
        slots = objective._filled(encoded, drawn, 1)
        found: torch.Tensor = objective.module["head"](slots, drawn.positions, real)
        return found

    torch.testing.assert_close(
        predicted(alone, own), predicted(both, draw)[: len(own.positions)]
    )


def test_the_class_token_counts_only_where_there_is_one() -> None:
    for modality, matters in (("vision", True), ("speech", False), ("text", False)):
        losses = []
        for weight in (0.0, 1.0):
            change = {"objective": {"class_token_weight": weight}}
            trial, objective = made(modality, change)
            inputs = inputs_of(modality, trial)
            losses.append(float(update(objective, inputs, None, 1).loss.detach()))
        assert (losses[0] != losses[1]) == matters


def test_gradients_reach_student_and_decoder_and_never_the_teacher() -> None:
    for modality in MAKERS:
        trial, objective = made(modality)
        update(objective, inputs_of(modality, trial), None, 1).loss.backward()
        without = {"encoder.mask_token"}  # no mask token is read
        for name, parameter in objective.module.named_parameters():
            if name in without:
                assert parameter.grad is None
            else:
                assert parameter.grad is not None, name
        assert all(p.grad is None for p in objective.teacher.network.parameters())


def test_metrics_are_data2vecs() -> None:
    trial, objective = made()
    result = update(objective, inputs_of("vision", trial), None, 1)
    assert set(result.measure()) == {"target/std", "prediction/std", "teacher/tau"}
    assert set(result.describe()) == {
        "target/effective_rank",
        "prediction/gain",
        "student/local_effective_rank",
    }
    assert result.num_terms == int(
        objective.draw(inputs_of("vision", trial), 1).mask.sum()
    )


@pytest.mark.parametrize(
    ("modality", "change", "message"),
    [
        (
            "vision",
            {"objective": {"decoder": {"groups": 5}}},
            r"objective\.decoder\.groups: must divide the encoder's width \(16\) and "
            r"decoder\.width \(16\), got 5",
        ),
        (
            "text",
            {"mask": {"kind": "bert", "mask_share": 0.8}},
            r"mask\.mask_share: must be 1 for data2vec2, .* got 0\.8",
        ),
        (
            "text",
            {"teacher": {"input": "reference_bug"}},
            r"teacher\.input: must be whole for data2vec2, got reference_bug",
        ),
        ("vision", {"target": {"top_k": 4}}, r"target\.top_k: must be at most"),
    ],
)
def test_what_does_not_go_together_is_refused(
    modality: str, change: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_objective(MAKERS[modality](OBJECTIVE, change), num_classes=3)
