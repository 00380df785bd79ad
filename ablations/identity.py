"""A trial's key: a hash of what determines its result, and nothing else.

SHA-256 over canonical JSON of the identity settings that differ from their defaults,
plus a schema version and the data digest; the first 16 hex digits. So adding a setting
with a default keeps old results, and where or how fast a trial runs does not matter.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from d2v_core.config import Section, TrialConfig, is_identity
from d2v_core.config.base import TAGS
from d2v_core.config.objective import OPTIONAL_SECTIONS

SCHEMA_VERSION = 3
"""Raise it when the meaning of an existing setting, or of a metric, changes.

2: targets without a norm collapse relative to the first update (2026-11-24).
3: initial weights are the references' (2026-11-27); 2 had what are now ``vision.init``
and ``head.init`` ``timm``.
"""


def trial_key(trial: TrialConfig, data_digest: str) -> str:
    """The key of a trial on data with this digest."""
    content = {
        "schema": SCHEMA_VERSION,
        "data": data_digest,
        "settings": identity_settings(trial),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def identity_settings(trial: TrialConfig) -> dict[str, Any]:
    """The settings that go into the key, as plain data."""
    unused = OPTIONAL_SECTIONS - trial.objective.uses
    settings = _differing(trial)
    return {name: value for name, value in settings.items() if name not in unused}


def _differing(section: BaseModel) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if not is_identity(field):
            continue
        if isinstance(value, Section):
            inner = _differing(value)
            if inner:
                chosen[name] = inner
        elif name in TAGS or value != _default(field):
            # A tag counts at its default too: it says which settings the others are.
            chosen[name] = list(value) if isinstance(value, tuple) else value
    return chosen


def _default(field: Any) -> Any:
    default = field.get_default(call_default_factory=True)
    return None if default is PydanticUndefined else default
