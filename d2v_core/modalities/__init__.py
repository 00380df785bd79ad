"""What differs between vision, speech and text; everything else is one code.

A new modality is one module here with a ``MODALITY``, its configuration
(:mod:`d2v_core.config.registry`), its encoder, masks, data and evaluation.
"""

from __future__ import annotations

import importlib
from typing import Any

from d2v_core.config.trial import TrialConfig, modality_name
from d2v_core.modalities.modality import Modality


def modality_of(trial: TrialConfig) -> Modality[Any, Any, Any]:
    """The modality of a trial: the module here that is named like it."""
    module = importlib.import_module(f"{__name__}.{modality_name(trial)}")
    modality: Modality[Any, Any, Any] = module.MODALITY
    return modality
