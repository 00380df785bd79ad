"""The trial type of each modality; a new modality adds its line."""

from __future__ import annotations

from d2v_core.config.base import sections_in
from d2v_core.config.speech import SpeechTrial
from d2v_core.config.text import TextTrial
from d2v_core.config.trial import TrialConfig
from d2v_core.config.vision import VisionTrial

TRIAL_TYPES: dict[str, type[TrialConfig]] = {
    "vision": VisionTrial,
    "speech": SpeechTrial,
    "text": TextTrial,
}


def embedded_sources(modality: str) -> frozenset[str]:
    """Names of the data sources that need no data root."""
    annotation = TRIAL_TYPES[modality].model_fields["data"].annotation
    return frozenset(
        section.model_fields["source"].default
        for section in sections_in(annotation)
        if "root" not in section.model_fields
    )
