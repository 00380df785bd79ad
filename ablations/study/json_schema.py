"""The JSON Schema of a study file: what gives editors completion and help.

pydantic describes the fields; what it cannot know is filled in here: which modalities
and metrics there are, and every setting of a trial with its own description.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from ablations.metrics import METRICS
from ablations.study.checks import GIVEN
from ablations.study.schema import Study
from d2v_core.config import TRIAL_TYPES
from d2v_core.config.base import sections_in

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]
NO_OTHERS: Json = {"additionalProperties": False}


def study_schema() -> Json:
    """JSON Schema of a study file, as plain data."""
    schema: Json = _without_titles(Study.model_json_schema(mode="validation"))
    parts, fields = schema["$defs"], schema["properties"]
    arm, claim = parts["NamedArm"]["properties"], parts["Claim"]["properties"]
    parts["Settings"] = settings_schema(TRIAL_TYPES)
    parts["SettingsFor"] = _settings_by_modality()
    parts["SettingsAt"] = _settings_by_recipe()
    parts["SettingName"] = {"enum": list(parts["Settings"]["properties"])}
    parts["Modality"] = {"enum": list(METRICS)}
    parts["Axis"]["properties"]["setting"]["$ref"] = "#/$defs/SettingName"
    for place in (fields, arm):
        place["like"] = _described(place["like"], {"type": "string"})
        place["set"] = _described(place["set"], {"$ref": "#/$defs/Settings"})
        place["set_for"] = _described(place["set_for"], {"$ref": "#/$defs/SettingsFor"})
        place["set_at"] = _described(place["set_at"], {"$ref": "#/$defs/SettingsAt"})
    for modalities in (arm["only"], claim["modalities"]):
        modalities["items"] = {"$ref": "#/$defs/Modality"}
    for rule in claim["test"]["discriminator"]["mapping"].values():
        part = parts[rule.rpartition("/")[2]]
        part["required"] = ["kind", *part.get("required", [])]
    fields["published"]["propertyNames"] = {"$ref": "#/$defs/Modality"}
    fields["metric"] = _described(fields["metric"], _metrics())
    schema["oneOf"] = [{"required": [layout]} for layout in ("axis", "axes", "arms")]
    return {"$schema": DIALECT, "title": "A d2v study", **schema}


def settings_schema(trials: Mapping[str, type[BaseModel]]) -> Json:
    """Every setting of these trial types by dotted path."""
    by_path: dict[str, list[Json]] = {}
    for trial in trials.values():
        for path, setting in _settings(trial):
            known = by_path.setdefault(path, [])
            if setting not in known:
                known.append(setting)
    return _closed({p: _any_of(by_path[p]) for p in sorted(by_path) if p not in GIVEN})


def _settings_by_modality() -> Json:
    return _closed(
        {name: settings_schema({name: t}) for name, t in TRIAL_TYPES.items()}
    )


def _settings_by_recipe() -> Json:
    """As :func:`_settings_by_modality`, by ``vision-smoke`` and its like."""
    known = _settings_by_modality()["properties"]
    by_recipe = {f"^{name}-": settings for name, settings in known.items()}
    return {"type": "object", "patternProperties": by_recipe, **NO_OTHERS}


def _metrics() -> Json:
    own = {"$ref": "#/$defs/OwnMetric"}
    named = {
        modality: [{"const": m.name, "description": m.title} for m in metrics.values()]
        for modality, metrics in METRICS.items()
    }
    return _closed({m: {"anyOf": [*choices, own]} for m, choices in named.items()})


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Settings of a section and below; variants of a section may repeat a path."""
    properties = model.model_json_schema(mode="validation")["properties"]
    for name, field in model.model_fields.items():
        path, described = f"{prefix}{name}", properties[name]
        sections = sections_in(field.annotation)
        if not sections:
            yield path, _setting(model, described)
            continue
        optional = type(None) in get_args(field.annotation)
        kind = ["object", "null"] if optional else "object"
        yield path, _described(described, {"type": kind})
        for section in sections:
            yield from _settings(section, f"{path}.")


def _setting(model: type[BaseModel], described: Json) -> Json:
    """One setting; the recipe, not the default, says what it is otherwise."""
    kept = {k: v for k, v in described.items() if k not in ("title", "default")}
    if "description" not in kept:  # chooses this variant of its section
        kept["description"] = inspect.getdoc(model) or ""
    return kept


def _any_of(settings: list[Json]) -> Json:
    return settings[0] if len(settings) == 1 else {"anyOf": settings}


def _closed(properties: Json) -> Json:
    return {"type": "object", "properties": properties, **NO_OTHERS}


def _described(field: Json, schema: Json) -> Json:
    """A schema with the description of the field that it stands for."""
    return {"description": field["description"], **schema}


def _without_titles(part: Any) -> Any:
    """Drop what pydantic titles every field with: its own name."""
    if isinstance(part, list):
        return [_without_titles(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _without_titles(inner)
        for key, inner in part.items()
        if not (key == "title" and isinstance(inner, str))
    }
