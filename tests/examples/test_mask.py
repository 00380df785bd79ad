"""examples/checkerboard.py: masks of one's own, and what is refused."""

import math

import numpy as np
import pytest

from ablations.identity import identity_settings
from ablations.study.arms import Request, expand_named
from d2v_core.build import check_buildable
from d2v_core.config.speech import SpeechTrial
from d2v_core.config.text import TextTrial
from d2v_core.errors import ConfigError
from d2v_core.masks.own import checked
from d2v_core.modalities.speech import build_frame_masks
from d2v_core.modalities.text import build_token_masks
from d2v_core.modalities.vision import build_patch_masks
from tests.d2v_core.small_speech import SMALL_SPEECH
from tests.d2v_core.small_text import SMALL_TEXT
from tests.examples.places import EXAMPLES, own_trial, small_vision, trained

MASK = {"mask.kind": "own", "mask.function": "checkerboard.py:checkerboard"}
HERE = {"mask.kind": "own", "mask.function": "mine.py:f"}
FRAMES = """
import numpy as np
def f(lengths, generator, every=3):
    there = np.arange(max(lengths)) < np.asarray(lengths)[:, None]
    return there & (np.arange(max(lengths)) % every == generator.integers(every))
"""
TOKENS = """
import numpy as np
def f(fixed, generator):
    return ~fixed & (np.arange(fixed.shape[1]) % 2 == 1)
"""


def test_the_mask_is_a_chessboard_with_fields_of_the_size_asked_for() -> None:
    trial = small_vision({**MASK, "mask.settings": {"size": 2}})
    draw = build_patch_masks(trial, (4, 4))
    field, other = np.ones((2, 2), bool), np.zeros((2, 2), bool)
    black = np.block([[field, other], [other, field]])
    drawn = draw(200, np.random.default_rng(3))
    is_black = (drawn == black).all(axis=(1, 2))
    assert ((drawn == ~black).all(axis=(1, 2)) == ~is_black).all()
    assert 60 < is_black.sum() < 140


def test_it_trains() -> None:
    losses, _ = trained(small_vision(MASK))
    assert all(map(math.isfinite, losses))


def test_a_study_varies_the_functions_own_setting() -> None:
    expanded = expand_named(
        str(EXAMPLES / "mask.yaml"), Request("vision", "smoke", seeds=(0,))
    )
    assert [arm.label for arm in expanded.arms] == ["size=1", "size=2"]
    masks = [identity_settings(cell.trial)["mask"] for cell in expanded.cells]
    assert [mask["settings"] for mask in masks] == [{"size": 1}, {"size": 2}]
    assert {mask["function"].partition("@")[0] for mask in masks} == {
        "checkerboard.py:checkerboard"
    }


def test_frames_have_masks_of_ones_own_too(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(FRAMES)
    trial = own_trial({**HERE, "mask.settings.every": 4}, tmp_path, SMALL_SPEECH)
    assert isinstance(trial, SpeechTrial)
    drawn = build_frame_masks(trial)([30, 20], np.random.default_rng(0))
    assert drawn.shape == (2, 30)
    assert not drawn[1, 20:].any()
    assert set(np.diff(np.flatnonzero(drawn[0]))) == {4}


def test_tokens_have_masks_of_ones_own_too(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(TOKENS)
    trial = own_trial(HERE, tmp_path, SMALL_TEXT)
    assert isinstance(trial, TextTrial)
    fixed = np.zeros((1, 8), bool)
    fixed[0, [0, 7]] = True
    drawn = build_token_masks(trial)(fixed, np.random.default_rng(0))
    assert np.flatnonzero(drawn.mask[0]).tolist() == [1, 3, 5]
    assert drawn.random is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 9}, "every mask must hide something and leave something to be seen"),
        ({"sise": 1}, "got an unexpected keyword argument 'sise'"),
        ({"size": 0}, ""),
    ],
)
def test_settings_that_do_not_go_with_it_are_refused(settings, message) -> None:
    trial = small_vision({**MASK, "mask.settings": settings})
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    text = str(caught.value)
    wanted = "mask.function: must be a patch mask, checkerboard(batch_size, grid, "
    assert text.startswith(wanted)
    assert message in text


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 3)), "must be bool of shape (2, 3), got float64 of shape (2, 3)"),
        (np.zeros((2, 4), bool), "got bool of shape (2, 4)"),
        (np.zeros((2, 3), bool), "got 0 to 0 of 2 to 3 positions"),
        (np.array([[1, 0, 0], [1, 1, 0]], bool), "got 1 to 2 of 2 to 3 positions"),
        (np.array([[1, 0, 0], [1, 0, 1]], bool), "must not hide padding"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused(mask, message) -> None:
    there = np.array([[1, 1, 1], [1, 1, 0]], bool)
    with pytest.raises(ValueError, match=".") as caught:
        checked(mask, there)
    assert message in str(caught.value)
