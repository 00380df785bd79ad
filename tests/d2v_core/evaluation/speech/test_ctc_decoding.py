"""Decoding against sums over every path."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.evaluation.speech.ctc_decoding import best_path, prefix_beam_search


def collapse(path) -> tuple[int, ...]:
    return tuple(key for key, _ in itertools.groupby(path) if key != 0)


def frames_of(path, num_classes=4) -> np.ndarray:
    return np.log(np.eye(num_classes)[list(path)] * 0.7 + 0.1)


@pytest.mark.parametrize(
    ("path", "labelling"),
    [
        ([0, 0, 0], []),
        ([1, 1, 1], [1]),
        ([1, 0, 1], [1, 1]),
        ([0, 1, 2, 2, 0, 2, 3], [1, 2, 2, 3]),
        ([3], [3]),
    ],
)
def test_the_best_path_merges_repetitions_then_drops_blanks(path, labelling):
    assert best_path(frames_of(path)) == labelling


def test_no_frames_are_no_characters():
    assert best_path(np.zeros((0, 3))) == []


def random_frames(seed, num_frames, num_classes, sharpness=1.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    logits = sharpness * generator.standard_normal((num_frames, num_classes))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def exhaustive(frames: np.ndarray) -> dict[tuple[int, ...], float]:
    """Probability of every labelling: all its paths added up."""
    found: dict[tuple[int, ...], float] = {}
    num_frames, num_classes = frames.shape
    for path in itertools.product(range(num_classes), repeat=num_frames):
        probability = np.exp(sum(frames[t, c] for t, c in enumerate(path)))
        label = collapse(path)
        found[label] = found.get(label, 0.0) + float(probability)
    return found


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 3))
def test_a_wide_beam_finds_the_labelling_whose_paths_add_up_to_most(
    seed, num_frames, num_classes
):
    frames = random_frames(seed, num_frames, num_classes)
    sums = exhaustive(frames)
    assert sum(sums.values()) == pytest.approx(1.0)
    (found,) = prefix_beam_search([frames], width=200)
    assert sums[tuple(found.classes)] == pytest.approx(max(sums.values()))
    assert np.exp(found.log_probability) == pytest.approx(max(sums.values()))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_no_beam_claims_more_than_the_labelling_has(seed, num_frames, width):
    frames = random_frames(seed, num_frames, 4)
    (found,) = prefix_beam_search([frames], width)
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(frames)[:, None],
        torch.tensor([found.classes], dtype=torch.int64).reshape(1, -1),
        torch.tensor([num_frames]),
        torch.tensor([len(found.classes)]),
        reduction="sum",
    )
    assert found.log_probability <= -float(loss) + 1e-9


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_every_width_agrees_with_the_best_path_where_that_is_most_likely(seed, width):
    path = np.random.default_rng(seed).integers(0, 4, 8)
    frames = np.log(np.eye(4)[path] * 0.96 + 0.01)  # 0.97 ** 8 > 0.5
    (found,) = prefix_beam_search([frames], width)
    assert found.classes == best_path(frames)


def test_alignments_together_can_outweigh_the_best_path():
    """Hannun et al.: a blank in both frames has 0.36, but an A somewhere 0.64."""
    frames = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert best_path(frames) == []
    (found,) = prefix_beam_search([frames], width=4)
    assert found.classes == [1]
    assert np.exp(found.log_probability) == pytest.approx(0.64)


def test_repetitions_need_a_blank_between_them():
    frames = frames_of([1, 1, 0, 1])
    (found,) = prefix_beam_search([frames], width=8)
    assert found.classes == [1, 1]


def test_certain_frames_leave_prefixes_of_no_probability_out():
    with np.errstate(divide="ignore"):
        frames = np.log(np.eye(3)[[1, 1, 0, 1, 2]])
    (found,) = prefix_beam_search([frames], width=5)
    assert found.classes == [1, 1, 2]
    assert found.log_probability == pytest.approx(0.0)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 15), min_size=1, max_size=5))
def test_utterances_together_are_decoded_as_alone(seed, lengths):
    utterances = [random_frames(seed + i, n, 5, 2.0) for i, n in enumerate(lengths)]
    together = prefix_beam_search(utterances, width=4)
    for frames, found in zip(utterances, together, strict=True):
        (alone,) = prefix_beam_search([frames], width=4)
        assert found.classes == alone.classes
        assert found.log_probability == pytest.approx(alone.log_probability)
