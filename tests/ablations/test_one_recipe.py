"""The study ``one_recipe`` does what it says: its last arms are one recipe."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ablations.identity import trial_key
from ablations.library import load_study
from ablations.study.arms import Request, expand
from d2v_core.config.trial import TrialConfig

MODALITIES = ("vision", "speech", "text")
SCALES = ("smoke", "laptop", "gpu", "paper")
SHARED = ("mask", "target", "teacher", "loss", "head", "optimizer")
STEPS = {
    "+ shared masks": {"mask"},
    "+ shared target": {"target", "teacher", "loss", "head"},
    "+ shared optimiser": {"optimizer"},
    "one recipe": {"speech", "text"},
}
"""Sections that each arm changes beside those of the arm before it."""
FEW_LAYERS = {("text", "smoke"): 4}
"""Depth of the encoders that have no 8 layers."""


def arms(modality: str, scale: str) -> dict[str, TrialConfig]:
    request = Request(modality, scale, data_root="/data", seeds=(0,))
    cells = expand(load_study("one_recipe"), request).cells
    return {cell.arm.label: cell.trial for cell in cells}


def sections(trial: TrialConfig) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in type(trial).model_fields}


@pytest.mark.parametrize("scale", SCALES)
def test_the_last_arms_are_one_recipe_but_for_k_of_shallow_encoders(scale: str) -> None:
    trials = {m: arms(m, scale)["one recipe"] for m in MODALITIES}
    for section in SHARED:
        found = []
        for modality, trial in trials.items():
            values = getattr(trial, section).model_dump()
            few = FEW_LAYERS.get((modality, scale))
            if section == "target" and few is not None:
                assert values["top_k"] == trial.encoder.depth == few
                values["top_k"] = 8
            found.append(values)
        assert found[0] == found[1] == found[2], section
    assert len({trial.head_init for trial in trials.values()}) == 1


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("modality", MODALITIES)
def test_each_arm_changes_what_its_name_says_and_keeps_the_rest(
    modality: str, scale: str
) -> None:
    walk = [a for a in arms(modality, scale) if a in STEPS or a == "own recipe"]
    trials = arms(modality, scale)
    assert walk[0] == "own recipe"
    assert len(walk) == (4 if modality == "vision" else 5)
    for before, after in pairwise(walk):
        old, new = sections(trials[before]), sections(trials[after])
        changed = {name for name in old if old[name] != new[name]}
        allowed = STEPS[after] & {modality, *SHARED}
        if (modality, after) == ("vision", "one recipe"):
            allowed = {"optimizer"}  # images are read as patches already
        assert changed, after
        assert changed <= allowed, (after, changed)  # some have a part of it already


@pytest.mark.parametrize("scale", SCALES)
def test_raw_input_is_waveforms_and_bytes(scale: str) -> None:
    for modality in ("speech", "text"):
        trials = arms(modality, scale)
        trained, control = trials["one recipe"], trials["untrained, raw input"]
        assert trained.encoder == control.encoder
        assert control.objective.kind == "untrained"
    speech: Any = arms("speech", scale)["one recipe"]
    assert speech.speech.front_end.windows == ((320, 320),)
    text: Any = arms("text", scale)["one recipe"]
    assert (text.text.tokenizer, text.text.vocab_size) == ("bytes", 261)
    longer = text.text.max_tokens / arms("text", scale)["own recipe"].text.max_tokens
    assert 3.4 < longer <= 4.0


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_first_arm_is_the_recipe_that_other_tables_have(modality: str) -> None:
    request = Request(modality, "smoke", seeds=(0,))
    other = expand(load_study("target_norm"), request).cells
    keys = {trial_key(cell.trial, "digest") for cell in other}
    assert trial_key(arms(modality, "smoke")["own recipe"], "digest") in keys
