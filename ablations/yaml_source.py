"""Strict, bounded YAML 1.2 that knows where everything stands.

Duplicate keys are refused; a position is kept for every key and item, so that errors
found later can say ``file:line:column``. Whatever the YAML library raises becomes such
an error, and no text costs more than its bounds allow: aliases are counted as often as
they stand for something.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from d2v_core.errors import ConfigError, Problem, shown

DataPath = tuple[str | int, ...]
MAX_BYTES = 200_000
"""Characters of a file: seconds of reading; the longest shipped study has 3,000."""
MAX_NESTING = 40
"""Lists and mappings inside each other."""
MAX_VALUES = 50_000
"""Keys and values of a file, aliases counted as often as they are used."""
MAX_TEXT = 10_000
"""Characters of one text."""
MAX_WHOLE = 2**63 - 1
"""Size of a whole number, as databases keep them."""
TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class YamlSource:
    """Plain data of one YAML file, with positions.

    Attributes:
        file: Where it was read.
        data: Mappings, lists and scalars.
        positions: ``"line:column"``, from 1, of every key and item by path.
    """

    file: Path
    data: Any
    positions: dict[DataPath, str] = field(repr=False)

    def locate(self, path: DataPath) -> str:
        """``file:line:column`` of a path, or of its nearest parent that exists."""
        while path and path not in self.positions:
            path = path[:-1]
        return f"{self.file}:{self.positions.get(path, '1:1')}"

    def has(self, path: str) -> bool:
        """Whether a dotted path stands in the file."""
        return path in self._by_text

    def locate_text(self, path: str) -> str:
        """Place of a dotted path, as :meth:`locate`; its keys may have dots too."""
        while path and path not in self._by_text:
            path = path.rpartition(".")[0]
        place = self._by_text.get(path) or self.positions.get((), "1:1")
        return f"{self.file}:{place}"

    @cached_property
    def _by_text(self) -> dict[str, str]:
        places = self.positions.items()
        return {".".join(map(str, path)): place for path, place in places if path}

    def located(self, problems: Iterable[Problem]) -> ConfigError:
        """The error with every problem prefixed by its place in this file."""
        return ConfigError(
            Problem(f"{self.locate_text(p.path)}: {p.path}", p.message)
            if p.path
            else Problem(self.locate(()), p.message)
            for p in problems
        )


def split_path(path: str) -> DataPath:
    """``"seeds.0"`` to ``("seeds", 0)``."""
    parts = path.split(".") if path else []
    number = re.compile(r"[0-9]{1,9}")  # isdigit() is true of "²", int() is not
    return tuple(int(part) if number.fullmatch(part) else part for part in parts)


def read_yaml(file: Path) -> YamlSource:
    """Read one file.

    Raises:
        ConfigError: The file is missing, not UTF-8 or not YAML, too large, or has
            duplicate keys (all of them named).
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise _not_utf8(file, error, len(content)) from None
        raise ConfigError(
            [Problem("", f"{file}: cannot be read: {_reason(error)}")]
        ) from None
    return parse_yaml(text, file)


def _not_utf8(file: Path, error: UnicodeDecodeError, num_bytes: int) -> ConfigError:
    """The refusal of a file in another encoding, or of one that was cut off."""
    if num_bytes > MAX_BYTES:
        return ConfigError([_too_large(file)])
    message = f"{file}: must be UTF-8, byte {error.start} is not"
    return ConfigError([Problem("", message)])


def _too_large(file: Path) -> Problem:
    return Problem(f"{file}", f"must have at most {MAX_BYTES:,} bytes, has more")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def parse_yaml(text: str, file: Path) -> YamlSource:
    """Parse the text of a file.

    Raises:
        ConfigError: As :func:`read_yaml`.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ConfigError([_too_large(file)])
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_NESTING
    yaml.composer.warn_double_anchors = False  # the last one counts, as YAML says
    reader = _Reader(file, yaml)
    try:
        node = yaml.compose(text)
        data = reader.value(node, ()) if node is not None else None
    except MaxDepthExceededError as error:
        where = f"{file}{_mark(error)}"
        message = f"lists and mappings must be at most {MAX_NESTING} deep"
        raise ConfigError([Problem(where, message)]) from None
    except MarkedYAMLError as error:
        raise ConfigError(
            [Problem(f"{file}{_mark(error)}", f"not valid YAML: {error.problem}")]
        ) from None
    except _TooMuchError as error:
        raise ConfigError([error.problem]) from None
    except Exception as error:  # the library's own slips: AssertionError, IndexError …
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError([Problem(f"{file}", f"not valid YAML: {reason}")]) from None
    if reader.problems:
        raise ConfigError(reader.problems)
    return YamlSource(file, data, reader.positions)


def parse_value(text: str, option: str) -> Any:
    """One value, as it is typed behind an option.

    Raises:
        ConfigError: As :func:`read_yaml`, placed at the option.
    """
    try:
        return parse_yaml(text, Path("value")).data
    except ConfigError as error:
        reasons = [p.message.removeprefix("not a value: ") for p in error.problems]
        rules = [Problem(option, f"not a value: {reason}") for reason in reasons]
        raise ConfigError(rules) from None


def _mark(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


class _TooMuchError(Exception):
    """The text stands for more than may be read."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _Reader:
    """Turns a node graph into plain data, collecting positions and problems."""

    def __init__(self, file: Path, yaml: YAML) -> None:
        self.file, self.yaml = file, yaml
        self.positions: dict[DataPath, str] = {}
        self.problems: list[Problem] = []
        self._open: list[Node] = []
        self._left = MAX_VALUES

    def value(self, node: Node, path: DataPath) -> Any:
        self._count(node)
        self.positions.setdefault(path, _place(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if any(node is parent for parent in self._open):
            return self._refuse(node, "an alias must not stand inside its own anchor")
        if len(self._open) >= MAX_NESTING:
            message = f"lists and mappings must be at most {MAX_NESTING} deep"
            return self._refuse(node, f"{message}, aliases included")
        if str(node.tag) not in (f"{TAG}map", f"{TAG}seq"):
            return self._refuse(
                node, f"not valid YAML: no values are tagged {node.tag}"
            )
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            assert isinstance(node, SequenceNode)
            return [self.value(n, (*path, i)) for i, n in enumerate(node.value)]
        finally:
            self._open.pop()

    def _count(self, node: Node) -> None:
        self._left -= 1
        if self._left < 0:
            message = (
                f"must hold at most {MAX_VALUES:,} values, aliases counted each time"
            )
            raise _TooMuchError(Problem(f"{self.file}:{_place(node)}", message))

    def _scalar(self, node: ScalarNode) -> Any:
        kind = str(node.tag).removeprefix(TAG)
        if len(node.value) > MAX_TEXT:
            message = f"a text must have at most {MAX_TEXT:,} characters"
            return self._refuse(node, f"{message}, has {len(node.value):,}")
        try:
            value = self.yaml.constructor.construct_object(node)
        except MarkedYAMLError:
            raise
        except Exception as error:  # of 2020-13-45, !!int x, !!bool x: many kinds
            reason = error if isinstance(error, ValueError) else f"no {kind}"
            message = f"not a value: {reason}; quote it if it is a text"
            return self._refuse(node, f"{message}, got {shown(node.value)}")
        if kind in (
            "timestamp",
            "value",
        ):  # a date is the text it stands as, and so is =
            return node.value
        if not isinstance(value, str | int | float | None):
            return self._refuse(node, f"not a value: no values are tagged !!{kind}")
        if isinstance(value, int) and abs(value) > MAX_WHOLE:
            return self._refuse(node, f"a whole number must be at most {MAX_WHOLE}")
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(node, f"a number must be finite, got {node.value}")
        return value

    def _refuse(self, node: Node, message: str) -> None:
        self.problems.append(Problem(f"{self.file}:{_place(node)}", message))

    def _mapping(self, node: MappingNode, path: DataPath) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            self._count(key_node)
            if not isinstance(key_node, ScalarNode) or key_node.value == "<<":
                self._refuse(
                    key_node, "a key must be a name; lists, mappings and << not"
                )
                continue
            key = self._scalar(key_node)
            here = (*path, key)
            if key in data:
                dotted = ".".join(str(part) for part in here)
                self.problems.append(
                    Problem(
                        f"{self.file}:{_place(key_node)}: {dotted}",
                        f"stands twice, first at {self.positions[here]}; keep one",
                    )
                )
                continue
            self.positions[here] = _place(key_node)
            data[key] = self.value(value_node, here)
        return data


def _place(node: Node) -> str:
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"
