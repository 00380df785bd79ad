"""Encoders as folders that Hugging Face transformers and timm open, and back.

A new format is a file here and a line in ``EXPORTERS``; there ``hf`` is data2vec's own
class. Which class an objective's encoder gets is :mod:`d2v_core.export.hf_choice`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from d2v_core.export.hf_audio import export_hf_audio
from d2v_core.export.hf_text import export_hf_text
from d2v_core.export.hf_vision import export_hf
from d2v_core.export.timm_folder import export_timm

Exporter = Callable[..., Any]
"""From encoder, folder and the checkpoint's preprocessing (as keywords)."""

EXPORTERS: dict[str, dict[str, Exporter]] = {
    "vision": {"hf": export_hf, "timm": export_timm},
    "speech": {"hf": export_hf_audio},
    "text": {"hf": export_hf_text},
}
"""By modality and format; a new modality adds its line."""
