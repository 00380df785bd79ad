"""The trial type of each modality; a new modality adds its line."""

from __future__ import annotations

from d2v_core.config.speech import SpeechTrial
from d2v_core.config.text import TextTrial
from d2v_core.config.trial import TrialConfig
from d2v_core.config.vision import VisionTrial

TRIAL_TYPES: dict[str, type[TrialConfig]] = {
    "vision": VisionTrial,
    "speech": SpeechTrial,
    "text": TextTrial,
}
