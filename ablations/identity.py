"""Two keys, each a hash of what determines something, and of nothing else.

The *training key* names the weights that a training leaves; the *trial key* adds the
evaluation and names a result. So a new probe costs an evaluation, never a training.

SHA-256 over canonical JSON of the identity settings that differ from their defaults,
plus a schema version and the data digest; the first 16 hex digits. So adding a setting
with a default keeps old results, and where or how fast a trial runs does not matter.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from d2v_core.config import Section, TrialConfig, is_identity
from d2v_core.config.base import TAGS
from d2v_core.config.objective import OPTIONAL_SECTIONS
from d2v_core.weights_files import weights_digest

EVALUATION = "evaluation"
"""The section that is no part of a training key."""
SCHEMA_VERSION = 4
"""Raise it when the meaning of an existing setting, or of a metric, changes.

2: targets without a norm collapse relative to the first update (2026-11-24).
3: initial weights are the references' (2026-11-27); 2 had what are now ``vision.init``
and ``head.init`` ``timm``.
4: a training and its evaluation have keys of their own (2026-11-28).
"""


def training_key(trial: TrialConfig, data_digest: str) -> str:
    """The key of the encoder that a trial's training leaves.

    Args:
        trial: The configuration; its evaluation makes no difference.
        data_digest: Digest of what it is trained on.

    Raises:
        ConfigError: The weights it is to begin with are not there.
    """
    return both_keys(trial, data_digest, data_digest)[1]


def trial_key(trial: TrialConfig, data_digest: str) -> str:
    """The key of a trial's result: its training, and how the encoder is evaluated.

    Args:
        trial: The configuration.
        data_digest: Digest of all the data it reads.

    Raises:
        ConfigError: As :func:`training_key`.
    """
    return both_keys(trial, data_digest, data_digest)[0]


def both_keys(trial: TrialConfig, data_digest: str, trained_on: str) -> tuple[str, str]:
    """The trial key and the training key.

    Args:
        trial: The configuration.
        data_digest: Digest of all the data it reads.
        trained_on: Digest of what training reads.

    Raises:
        ConfigError: As :func:`training_key`.
    """
    settings = identity_settings(trial)
    evaluation = settings.pop(EVALUATION, {})
    content = {"schema": SCHEMA_VERSION, "data": trained_on, "settings": settings}
    if begins_with := weights_digest(trial.init_from):
        content["init_from"] = begins_with
    training = _digest(content)
    result = {"training": training, "evaluation": evaluation, "data": data_digest}
    return _digest(result), training


def identity_settings(trial: TrialConfig) -> dict[str, Any]:
    """The settings that go into the key, as plain data."""
    unused = OPTIONAL_SECTIONS - trial.objective.uses
    settings = _differing(trial)
    return {name: value for name, value in settings.items() if name not in unused}


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _differing(section: BaseModel) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for name, default in _identity_fields(type(section)):
        value = getattr(section, name)
        if isinstance(value, Section):
            inner = _differing(value)
            if inner:
                chosen[name] = inner
        elif name in TAGS or value != default:
            # A tag counts at its default too: it says which settings the others are.
            chosen[name] = list(value) if isinstance(value, tuple) else value
    return chosen


@cache
def _identity_fields(section: type[BaseModel]) -> list[tuple[str, Any]]:
    """The settings of a section that count, each with its default."""
    return [
        (name, _default(field))
        for name, field in section.model_fields.items()
        if is_identity(field)
    ]


def _default(field: Any) -> Any:
    default = field.get_default(call_default_factory=True)
    return None if default is PydanticUndefined else default
