"""The masks that images, speech and text have in common, through each modality."""

import numpy as np
import pytest

from d2v_core.modalities import modality_of
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_speech import PATCHES, small_speech_trial
from tests.d2v_core.small_text import small_text_trial

TRIALS = {
    "vision": lambda change: small_trial(change),
    "speech": lambda change: small_speech_trial(PATCHES, change),
    "text": lambda change: small_text_trial(change),
}
HALF = {
    "random": {"kind": "random", "ratio": 0.5},
    "blocks": {"kind": "inverse_block", "ratio": 0.5, "block": 3, "adjust": 0.07},
}


@pytest.mark.parametrize("modality", TRIALS)
@pytest.mark.parametrize("mask", HALF)
def test_one_section_hides_the_same_share_in_every_modality(modality, mask):
    """Half of the positions that may be hidden, to the position, in every sample."""
    trial = TRIALS[modality]({"mask": HALF[mask]})
    assert trial.objective.kind == "data2vec"
    room = modality_of(trial)
    example = room.example(trial, 6)
    encoder = room.build_encoder(trial).eval()
    drawn = room.masks(trial, encoder)(example, np.random.default_rng(0))
    hidden = drawn.mask.numpy()
    free = ~example.fixed if modality == "text" else np.ones_like(hidden)
    assert not (hidden & ~free).any()
    assert drawn.read is None
    whole = free.sum(axis=1)
    # Kept positions are rounded down, hidden ones to the nearest (even) number.
    wanted = whole - whole // 2 if mask == "blocks" else np.rint(whole / 2)
    assert hidden.sum(axis=1).tolist() == wanted.tolist()
    assert len({row.tobytes() for row in hidden}) > 1
