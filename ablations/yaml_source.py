"""Strict YAML 1.2 that knows where everything stands.

Duplicate keys are refused; a position is kept for every key and item, so that errors
found later can say ``file:line:column``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from d2v_core.errors import ConfigError, Problem

DataPath = tuple[str | int, ...]


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
    return tuple(int(part) if part.isdigit() else part for part in parts)


def read_yaml(file: Path) -> YamlSource:
    """Read one file.

    Raises:
        ConfigError: The file is missing, not UTF-8 or not YAML, or has duplicate keys
            (all of them named).
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            [Problem("", f"{file}: cannot be read: {error.strerror}")]
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Problem("", f"{file}: must be UTF-8, byte {error.start} is not")]
        ) from None
    return parse_yaml(text, file)


def parse_yaml(text: str, file: Path) -> YamlSource:
    """Parse the text of a file.

    Raises:
        ConfigError: As :func:`read_yaml`.
    """
    yaml = YAML(typ="safe", pure=True)
    reader = _Reader(file, yaml)
    try:
        node = yaml.compose(text)
        data = reader.value(node, ()) if node is not None else None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(
            [Problem(f"{file}{place}", f"not valid YAML: {error.problem}")]
        ) from None
    except YAMLError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError([Problem(f"{file}", f"not valid YAML: {reason}")]) from None
    if reader.problems:
        raise ConfigError(reader.problems)
    return YamlSource(file, data, reader.positions)


class _Reader:
    """Turns a node graph into plain data, collecting positions and problems."""

    def __init__(self, file: Path, yaml: YAML) -> None:
        self.file, self.yaml = file, yaml
        self.positions: dict[DataPath, str] = {}
        self.problems: list[Problem] = []
        self._open: list[Node] = []

    def value(self, node: Node, path: DataPath) -> Any:
        self.positions.setdefault(path, _place(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if any(node is parent for parent in self._open):
            return self._refuse(node, "an alias must not stand inside its own anchor")
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            assert isinstance(node, SequenceNode)
            return [self.value(n, (*path, i)) for i, n in enumerate(node.value)]
        finally:
            self._open.pop()

    def _scalar(self, node: ScalarNode) -> Any:
        try:
            return self.yaml.constructor.construct_object(node)
        except (
            ValueError
        ) as error:  # 2020-13-45 looks like a date, !!int x like a number
            return self._refuse(node, f"not a value: {error}")

    def _refuse(self, node: Node, message: str) -> None:
        self.problems.append(Problem(f"{self.file}:{_place(node)}", message))

    def _mapping(self, node: MappingNode, path: DataPath) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
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
