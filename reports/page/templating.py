"""Pages from templates: everything is escaped, everything is there or an error."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from d2v_core.data.cache import CacheEntry
from d2v_core.errors import DataError
from reports.text import visible

TOGETHER = re.compile(
    r"(?<=\d) (?=[±%])|(?<=±) (?=\d)|(?<=\d) (?=\[[+−])|(?<=[+−]\d\.\d\d,) (?=[+−]\d)"
    r"|(?<=\b[np]) (?=[=<])|(?<=[=<]) (?=\d)"
)
"""Blanks inside of ``n = 3`` or ``+1.03 [+0.85, +1.22]``: no line ends there. None of
them occurs in a command."""
BLOCK = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src"
"""Policy of a page that asks for nothing; its own scripts are named by digest."""


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
    if type(value) is not str:
        return value
    return TOGETHER.sub("\N{NO-BREAK SPACE}", visible(value))


@cache
def _drawing_library() -> str:
    """Vega, Vega-Lite and Vega-Embed in one, as ``vl-convert`` has them inside.

    To join them takes it more than a second, so that is done once per machine.
    """
    entry = CacheEntry("drawing-library", f"vl-convert-{version('vl-convert-python')}")
    if entry.read() is not None:
        return entry.file("js").read_text(encoding="utf-8")
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    assert "</script" not in bundle.lower(), "it would end its own element"
    with suppress(DataError, OSError):  # a page is drawn without a cache too
        entry.write({}, {"js": lambda file: file.write(bundle.encode())})
    return bundle


@cache
def _own(name: str) -> str:
    return (files("reports.page") / "templates" / name).read_text(encoding="utf-8")


def render(name: str, *, charts: bool = False, **values: Any) -> str:
    """A template of ``reports/page/templates`` with these values.

    No script runs but those that are put in here: a policy in the page's head names
    their digests. So text of a store that got past the escaping would still do nothing.

    Args:
        name: The template's file name.
        charts: Whether Vega is put in.
        values: What the template shows.
    """
    scripts = [_own("tables.js")]
    if charts:
        scripts = [_drawing_library(), *scripts, _own("charts.js")]
    policy = " ".join([BLOCK, *map(_digest, scripts)])
    template = _templates().get_template(name)
    page = template.render(
        **values, policy=Markup(policy), scripts=[Markup(one) for one in scripts]
    )
    return f"{page}\n"


def json_element(value: Any) -> Markup:
    """Data for a ``<script type="application/json">``, which nothing in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _digest(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
