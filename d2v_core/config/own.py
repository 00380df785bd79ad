"""References to the user's own code: ``own.py:function`` or ``package:function``.

A reference is *settled* before anything starts: its source is found, digested and, of a
file, taken along in the configuration, so that a worker on another machine needs
nothing but the configuration. Nothing is imported here: reading a configuration runs no
code. :mod:`d2v_core.own` runs it.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, JsonValue, WithJsonSchema

from d2v_core.config.base import sections_in
from d2v_core.errors import ConfigError, Problem, shown

FORM = "module:function (own.py:function, or package.module:function)"
REFERENCE = re.compile(
    r"(?P<place>[^:@\n]*[^:@\n/]\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)"
    r":(?P<name>[A-Za-z_]\w*)(@(?P<digest>[0-9a-f]{16}))?"
)
MAX_SOURCE_BYTES = 1_000_000
SOURCES = "sources"
"""The field of a trial that takes the files along."""

OwnSettings = dict[str, JsonValue]
"""Given to the function as keyword arguments."""


@dataclass(frozen=True)
class TakesOwn:
    """Marks a setting that takes a reference.

    Attributes:
        kind: What the function is for; one of :data:`d2v_core.own.kinds.KINDS`.
        settings: The setting beside it that holds further arguments; empty: none.
    """

    kind: str
    settings: str = ""


@dataclass(frozen=True)
class Reference:
    """A reference, taken apart.

    Attributes:
        place: File or module.
        name: The function there.
        digest: Digest of the source; empty until it is settled.
    """

    place: str
    name: str
    digest: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it names a Python file, and no installed package."""
        return self.place.endswith(".py")

    def __str__(self) -> str:
        return f"{self.place}:{self.name}" + (f"@{self.digest}" if self.digest else "")


def reference_in(value: object) -> Reference | None:
    """The reference that a value is; None if it is none."""
    match = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return match and Reference(match["place"], match["name"], match["digest"] or "")


def _must_be_reference(value: str) -> str:
    if reference_in(value) is None:
        raise ValueError(f"your own {FORM}")
    return value


OwnFunction = Annotated[
    str,
    AfterValidator(_must_be_reference),
    # For editors: anything with a colon and a name behind it.
    WithJsonSchema({"type": "string", "pattern": r":[A-Za-z_]\w*(@[0-9a-f]{16})?$"}),
]
"""Beside it stands, in brackets of ``Annotated``, what it is for: :class:`TakesOwn`."""


def taken(annotation: Any) -> TakesOwn | None:
    """What a setting of this annotation is marked with."""
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, TakesOwn):
            return mark
    marks = (taken(inner) for inner in get_args(annotation))
    return next((mark for mark in marks if mark), None)


@cache
def marked(model: type[BaseModel]) -> Mapping[str, TakesOwn]:
    """The settings of a section that take references."""
    own_settings = {}
    for name, field in model.model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, TakesOwn)]
        mark = marks[0] if marks else taken(field.annotation)
        if mark:
            own_settings[name] = mark
    return own_settings


def settled(
    model: type[BaseModel],
    data: Mapping[str, Any],
    folder_of: Callable[[tuple[str, ...]], Path],
) -> dict[str, Any]:
    """A trial's plain data with every reference settled.

    Args:
        model: The trial's type.
        data: Not validated yet; what is wrong with it otherwise is passed over.
        folder_of: Where the relative path given at a setting starts.

    Raises:
        ConfigError: Every reference whose file or package is not there.
    """
    result = copy.deepcopy(dict(data))
    carried = result.pop(SOURCES, {})
    known = carried if isinstance(carried, dict) else {}
    sources: dict[str, str] = {}
    problems = []
    for path, place, key in list(_references([model], result, ())):
        reference = reference_in(place[key])
        assert reference is not None
        try:
            if not reference.digest:
                reference, source = _found(reference, folder_of(path))
                sources |= {reference.digest: source} if reference.is_file else {}
            elif reference.digest in known:
                sources[reference.digest] = known[reference.digest]
        except ValueError as error:
            given = f"got {shown(place[key])}"
            problems.append(Problem(".".join(path), f"{error}, {given}"))
        else:
            place[key] = str(reference)
    if problems:
        raise ConfigError(problems)
    if not isinstance(carried, dict):
        return {**result, SOURCES: carried}  # a mistake, to be named as such
    return {**result, SOURCES: sources} if sources else result


def _references(
    models: list[type[BaseModel]], data: dict[Any, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where references stand: their path, what holds them, and under which key."""
    for name, value in data.items():
        here = (*path, str(name))
        having = [model for model in models if name in model.model_fields]
        if isinstance(value, dict) and having:
            fields = [model.model_fields[name].annotation for model in having]
            inner = [section for field in fields for section in sections_in(field)]
            yield from _references(inner, value, here)
        elif any(name in marked(model) for model in having):
            if isinstance(value, tuple):
                value = data[name] = list(value)
            held = enumerate(value) if isinstance(value, list) else [(name, value)]
            place = value if isinstance(value, list) else data
            yield from ((here, place, key) for key, one in held if reference_in(one))


def _found(reference: Reference, folder: Path) -> tuple[Reference, str]:
    """The settled reference, and the source of a file.

    Raises:
        ValueError: It is neither a file that can be read nor an installed package.
    """
    place = reference.place
    path = f"{place.replace('.', '/')}.py" if not reference.is_file else place
    file = folder / Path(path).expanduser()
    if not reference.is_file and not file.is_file():
        digest = package_digest(place.partition(".")[0])
        if digest is None:
            beside = f"a Python file ({file} is not there)"
            raise ValueError(f"must name {beside} or an installed package")
        return Reference(place, reference.name, digest), ""
    try:
        content = file.read_bytes()
        if len(content) > MAX_SOURCE_BYTES:
            size = f"has {len(content):,}"
            raise ValueError(f"must have at most {MAX_SOURCE_BYTES:,} bytes, {size}")
        source = content.decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"must name a Python file; {file}: {reason}") from None
    return Reference(file.name, reference.name, digest_of(source)), source


def digest_of(source: str) -> str:
    """Digest of a file's text, 16 hex digits."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@cache
def package_digest(package: str) -> str | None:
    """Digest of all Python files of an installed package; None if there is none.

    Nothing of it is imported.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # __main__ has no spec
        spec = None
    if spec is None:
        return None
    hashed = hashlib.sha256(package.encode())
    roots = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(f, r) for r in roots for f in r.rglob("*.py")]
    if not files and spec.origin and Path(spec.origin).is_file():
        files = [(Path(spec.origin), Path(spec.origin).parent)]
    if not files:  # in the interpreter itself
        hashed.update(sys.version.encode())
    for file, root in sorted(files):
        hashed.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return hashed.hexdigest()[:16]
