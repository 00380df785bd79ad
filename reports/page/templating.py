"""Pages from templates: everything is escaped, everything is there or an error."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.text import visible


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("reports.page"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    """Text before it is escaped; drawings are markup already."""
    return visible(value) if type(value) is str else value


def render(name: str, **values: Any) -> str:
    """A template of ``reports/page/templates`` with these values."""
    return _templates().get_template(name).render(**values) + "\n"
