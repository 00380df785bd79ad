import numpy as np
import pytest
import torch

from d2v_core.objectives.parts.targets import average_top_k_layers, normalise

AXES = {"layer": (2,), "instance": (1,), "batch": (0, 1), "group": (1, 2)}
KINDS = ["none", "instance", "layer", "batch", "group"]


def normalise_oracle(features, kind):
    if kind == "none":
        return features
    axes = AXES[kind]
    mean = features.mean(axis=axes, keepdims=True)
    variance = ((features - mean) ** 2).mean(axis=axes, keepdims=True)
    return (features - mean) / np.sqrt(variance + 1e-5)


@pytest.fixture
def layers():
    generator = np.random.default_rng(0)
    shift = generator.normal(size=(4, 1, 1, 6)) * 3
    return generator.normal(size=(4, 3, 5, 6)) * 2 + shift


@pytest.mark.parametrize("kind", KINDS)
def test_each_normalisation_agrees_with_its_formula(layers, kind):
    ours = normalise(torch.from_numpy(layers[0]), kind)
    np.testing.assert_allclose(ours, normalise_oracle(layers[0], kind), atol=1e-12)


def test_instance_normalisation_is_over_tokens_not_channels():
    # Along the tokens 0, 1; along the channels constant: only the tokens can vary.
    features = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]])
    expected = torch.tensor([[[-1.0] * 3, [1.0] * 3]])
    torch.testing.assert_close(
        normalise(features, "instance"), expected, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(normalise(features, "layer"), torch.zeros(1, 2, 3))


def test_instance_normalisation_keeps_samples_apart_and_batch_does_not():
    features = torch.stack([torch.zeros(2, 1), torch.ones(2, 1)])
    torch.testing.assert_close(normalise(features, "instance"), torch.zeros(2, 2, 1))
    batch = normalise(features, "batch")
    torch.testing.assert_close(
        batch[:, 0, 0], torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("num_groups", [1, 2, 3, 6])
def test_group_normalisation_is_over_tokens_and_the_channels_of_a_group(
    layers, num_groups
):
    features = layers[0]
    width = features.shape[2] // num_groups
    expected = np.empty_like(features)
    for sample in range(len(features)):
        for first in range(0, features.shape[2], width):
            part = features[sample, :, first : first + width]
            part = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
            expected[sample, :, first : first + width] = part
    ours = normalise(torch.from_numpy(features), "group", num_groups=num_groups)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_group_normalisation_is_pytorchs_group_norm_over_time_and_channels(layers):
    features = torch.from_numpy(layers[0])
    theirs = torch.nn.functional.group_norm(features.transpose(1, 2), 3).transpose(1, 2)
    torch.testing.assert_close(normalise(features, "group", num_groups=3), theirs)


def test_as_many_groups_as_channels_is_instance_normalisation(layers):
    features = torch.from_numpy(layers[0])
    instance = normalise(features, "instance")
    torch.testing.assert_close(normalise(features, "group", num_groups=6), instance)


def test_the_number_of_groups_reaches_both_norms(layers):
    given = [torch.from_numpy(layer).float() for layer in layers]
    ours = average_top_k_layers(
        given, layer_norm="group", final_norm="group", num_groups=2
    )
    mean = sum(normalise(layer, "group", num_groups=2) for layer in given) / 4
    torch.testing.assert_close(ours, normalise(mean, "group", num_groups=2))


@pytest.mark.parametrize(
    ("top_k", "per_layer", "final"),
    [
        (1 + (i + j) % 4, per_layer, final)  # so each pair of two of them occurs
        for i, per_layer in enumerate(KINDS)
        for j, final in enumerate(KINDS)
    ],
)
def test_targets_normalise_each_layer_then_average_then_normalise_again(
    layers, top_k, per_layer, final
):
    chosen = layers[-top_k:]
    mean = sum(normalise_oracle(layer, per_layer) for layer in chosen) / top_k
    ours = average_top_k_layers(
        [torch.from_numpy(layer).float() for layer in chosen],
        layer_norm=per_layer,
        final_norm=final,
    )
    np.testing.assert_allclose(ours, normalise_oracle(mean, final), atol=2e-5)


def test_targets_are_float32_whatever_the_teacher_computes_in():
    layers = [torch.randn(2, 3, 4, dtype=torch.bfloat16) for _ in range(2)]
    ours = average_top_k_layers(layers, layer_norm="layer", final_norm="none")
    assert ours.dtype == torch.float32
    exact = sum(normalise_oracle(x.double().numpy(), "layer") for x in layers) / 2
    np.testing.assert_allclose(ours, exact, atol=1e-5)


def test_averaging_leaves_the_layers_as_they_were(layers):
    given = [torch.from_numpy(layer).float() for layer in layers]
    copies = [layer.clone() for layer in given]
    average_top_k_layers(given, layer_norm="none", final_norm="none")
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rubbish", [0.0, 1e4, float("inf")])
def test_padding_takes_no_part_in_any_statistic(layers, kind, rubbish):
    lengths = (5, 3, 1)
    real = torch.arange(5) < torch.tensor(lengths)[:, None]
    features = torch.from_numpy(layers[0]).masked_fill(~real[:, :, None], rubbish)
    ours = normalise(features, kind, num_groups=2, real=real)
    alone = [
        normalise(features[i : i + 1, :length], kind, num_groups=2)[0]
        for i, length in enumerate(lengths)
    ]
    if kind == "batch":
        rows = features[real].numpy()
        expected = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)
    else:
        expected = torch.cat(alone)
    np.testing.assert_allclose(ours[real], expected, atol=1e-9)


def test_without_padding_the_mask_of_real_tokens_changes_nothing(layers):
    tensors = [torch.from_numpy(layer) for layer in layers]
    real = torch.ones(3, 5, dtype=torch.bool)
    options = {"layer_norm": "instance", "final_norm": "group", "num_groups": 3}
    torch.testing.assert_close(
        average_top_k_layers(tensors, **options, real=real),
        average_top_k_layers(tensors, **options),
    )
