"""The base class of every section of a configuration, and what identity is.

Sections are frozen pydantic models that refuse unknown keys and do not coerce types.
A field is part of a trial's *identity* (it determines the result) unless it is declared
with :func:`execution_field`, which marks it as about where and how fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from d2v_core.config.choices import Labelling

NOT_IDENTITY = {"identity": False}
"""Mark of an execution field, in its JSON schema: there pydantic keeps what it does not
know."""
TAGS = frozenset({"kind", "source", "modality"})
"""Settings that choose between variants of a section: they say which others it has."""


class Section(BaseModel):
    """A frozen group of settings; unknown keys and wrong types are errors."""

    # strict: "3" or True for a number is a typing error in a YAML file, not a number.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class ObjectiveSection(Section):
    """Facts of an objective that others need; no settings."""

    uses: ClassVar[frozenset[str]] = frozenset()
    """Sections of the trial that determine the result under this objective."""
    reads: ClassVar[Labelling] = "unlabelled"
    """Rows of the data that its updates read."""
    trains: ClassVar[bool] = True
    """Whether it makes updates."""
    modalities: ClassVar[frozenset[str]] = frozenset()
    """Modalities it is made for; empty: all."""


class UnlabelledData(Section):
    """Marks a source of data without labels; no settings."""


def execution_field(default: Any, **constraints: Any) -> Any:
    """A field about where and how fast, never part of a trial's identity."""
    return Field(default, json_schema_extra=dict(NOT_IDENTITY), **constraints)


def is_identity(field: FieldInfo) -> bool:
    """Whether a field takes part in a trial's identity."""
    extra = field.json_schema_extra
    return not (isinstance(extra, dict) and extra.get("identity") is False)


def leaves(
    section: BaseModel | Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every setting as ``(dotted path, value)``, in declaration order."""
    items = section if isinstance(section, BaseModel) else section.items()
    for name, value in items:
        if isinstance(value, BaseModel | dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The model classes mentioned in a field's annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = getattr(annotation, "__args__", ())
    return [model for part in inner for model in sections_in(part)]
