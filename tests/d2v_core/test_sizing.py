"""Recipes for data of any size are valid and can be built."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.build import check_buildable
from d2v_core.config import parse_trial
from d2v_core.sizing import AudioFacts, ImageFacts, TextFacts, settings_for

counts = st.integers(1, 2_000_000)
facts = st.one_of(
    st.builds(ImageFacts, counts, st.integers(1, 10_000), st.sampled_from([1, 3])),
    st.builds(AudioFacts, counts, st.floats(0.01, 4_000.0)),
    st.builds(TextFacts, counts, st.integers(1, 10**6), st.integers(1, 10**10)),
)


@settings(max_examples=40)
@given(facts, st.sampled_from(["laptop", "gpu"]))
def test_whatever_the_data_the_recipe_can_be_built(found, sized_for):
    trial = parse_trial(settings_for(found, sized_for))
    check_buildable(trial)
    assert trial.training.batch_size <= max(2, found.count)
    assert trial.teacher.tau.kind == "horizon"


@pytest.mark.parametrize(
    ("side", "sized_for", "size", "patches"),
    [(8, "laptop", 8, 4), (500, "laptop", 32, 8), (100, "gpu", 96, 8)]
    + [(224, "gpu", 224, 14), (180, "gpu", 160, 10), (3, "laptop", 8, 4)],
)
def test_images_have_4_to_14_patches_a_side(side, sized_for, size, patches):
    vision = settings_for(ImageFacts(1_000, side, 3), sized_for)["vision"]
    assert vision["image_size"] == size
    assert vision["image_size"] // vision["patch_size"] == patches
    assert vision["image_size"] % vision["patch_size"] == 0


def test_small_data_is_seen_often_and_large_data_within_bounds():
    few, many = (
        settings_for(ImageFacts(count, 32, 3))["training"] for count in (10, 10**6)
    )
    assert few == {"num_steps": 600, "batch_size": 8}
    assert many == {"num_steps": 3_000, "batch_size": 32}
