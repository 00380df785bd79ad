"""Where a study says something, for messages to its author."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.study.schema import Study
from ablations.yaml_source import DataPath, YamlSource
from d2v_core.errors import Problem


@dataclass(frozen=True)
class Locations:
    """Locations of a study's settings as one modality has them.

    Attributes:
        study: As written, with all its modalities.
        modality: Which is looked at.
        source: Its file; None: places are named in words alone.
        scale: Which is looked at.
    """

    study: Study
    modality: str
    source: YamlSource | None = None
    scale: str | None = None

    @property
    def folder(self) -> Path | None:
        """Where its relative paths start; None: where the command was typed."""
        return None if self.source is None else self.source.file.resolve().parent

    def common(self, path: DataPath) -> str:
        """Where a setting common to all arms stands."""
        return self._place("", self._dotted(path))

    def arm(self, label: str, path: DataPath) -> str:
        """Where an arm's setting stands; of an axis, where its values do."""
        setting = self._dotted(path)
        words = f"arm {label!r}"
        for i, arm in enumerate(self.study.arms):
            if arm.name == label:
                return self._place(f"arms.{i}.", setting, words)
        for i, axis in enumerate(self.study.all_axes):
            if axis.setting == setting:
                return self._words(f"{self._axis(i)}.values", words)
        return self._words("", words)

    def axis(self, label: str) -> str:
        """Where an axis stands."""
        labels = [axis.label for axis in self.study.all_axes]
        return self._words(self._axis(labels.index(label)), f"axis {label!r}")

    def metric(self) -> str:
        """Where the metric stands."""
        path = f"metric.{self.modality}"
        return self._words(path, path)

    def claims(self, problem: Problem) -> Problem:
        """A problem of the study's claims or baseline, with its place."""
        return Problem(self._words(problem.path, problem.path), problem.message)

    def _axis(self, i: int) -> str:
        return "axis" if self.study.axis else f"axes.{i}"

    def _place(self, prefix: str, setting: str, words: str = "") -> str:
        """The most particular of three mappings that has the setting."""
        inner = (f"set_at.{self.modality}-{self.scale}", f"set_for.{self.modality}")
        mapping = f"{prefix}set"
        for one in inner:
            if self.source is not None and self.source.has(f"{prefix}{one}.{setting}"):
                mapping = f"{prefix}{one}"
                break
        return self._words(f"{mapping}.{setting}", words or mapping)

    def _words(self, path: str, words: str) -> str:
        several = f" for {self.modality}" if len(self.study.metric) > 1 else ""
        name = f"study {self.study.name}{several}: {words}"
        return f"{self.source.locate_text(path)}: {name}" if self.source else name

    @staticmethod
    def _dotted(path: DataPath) -> str:
        return ".".join(map(str, path))
