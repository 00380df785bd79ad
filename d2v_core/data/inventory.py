"""Inventory of a data set: what lies there, what is used, and what may be a mistake.

Every source of data makes one while it loads. It is said in a line before the first
update and kept in the record, so that a number that rests on half of the data, or on a
class that is none, can be told from one that does not.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

LEFTOVERS = frozenset(
    {
        *("__macosx", "__pycache__", "@eadir", "lost+found", "thumbs.db"),
        *("desktop.ini", "$recycle.bin", "system volume information"),
    }
)
"""Names of what systems and tools leave beside data, in small letters."""
SPLIT_NAMES = frozenset({"train", "valid", "val", "test", "dev"})
FEW = 100
"""Below so many samples there is nothing to be learned from."""
SHOWN = 10
"""Names, letters and reasons that one line shows."""
SHOWN_CHARACTERS = 80
"""Characters of a name that one line shows."""


@dataclass(frozen=True)
class Inventory:
    """The contents of a data set; what was found is what is used and what is left out.

    Attributes:
        unit: Things counted: ``images``, ``utterances`` ...
        used: How many are used, by split.
        left_out: How many are not, by reason.
        suspicious: Sentences on classes and letters that may be mistakes.
        probed: Sentence on the other set that is probed on; empty: there is none.
    """

    unit: str
    used: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    suspicious: tuple[str, ...] = ()
    probed: str = ""

    def line(self) -> str:
        """Write all of it in a line for people."""
        used = sum(self.used.values())
        total = used + sum(self.left_out.values())
        splits = ", ".join(f"{name} {count:,}" for name, count in self.used.items())
        parts = [f"{total:,} {self.unit} found, {used:,} used ({splits})"]
        if reasons := self._reasons():
            counted = (f"{count:,} {why}" for why, count in reasons.items())
            parts.append("left out: " + ", ".join(counted))
        if self.suspicious:
            parts.append("look at this: " + "; ".join(self.suspicious))
        if self.probed:
            parts.append(self.probed)
        return visible("; ".join(parts))

    def beside(self, name: str, other: Inventory) -> Inventory:
        """This inventory with that of the set that is probed on in a sentence."""
        return replace(self, probed=f"probed on {name}: {other.line()}")

    def _reasons(self) -> dict[str, int]:
        """The most frequent reasons, and the others in one."""
        counts = Counter(self.left_out)
        reasons = dict(counts.most_common(SHOWN))
        if others := counts.total() - sum(reasons.values()):
            reasons["for other reasons"] = others
        return {visible(why): count for why, count in reasons.items()}

    def content(self) -> dict[str, Any]:
        """Give all of it to a record, as JSON takes it."""
        return {
            "unit": self.unit,
            "used": dict(self.used),
            "left_out": self._reasons(),
            "suspicious": [visible(sentence) for sentence in self.suspicious],
            **({"probed": visible(self.probed)} if self.probed else {}),
        }


def too_few(count: int, unit: str) -> list[str]:
    """Warn of a set that is too small to learn from."""
    if count >= FEW:
        return []
    return [
        f"only {count:,} {unit}: enough to try every command, too few to learn from"
    ]


def is_leftover(name: str) -> bool:
    """Whether a file or folder is hidden, or what a system or tool leaves behind."""
    return name.startswith((".", "~$")) or name.casefold() in LEFTOVERS


def visible(text: str) -> str:
    """Escape what a terminal or a record would not take, as names of files may hold."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def listed(names: Iterable[str]) -> str:
    """Join names for a message: the first ones of many, each cut to what one reads."""
    names = [visible(name[:SHOWN_CHARACTERS]) for name in names]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def suspicious_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Name classes that may be one class, or none at all, in sentences."""
    alike = defaultdict(list)
    for name in classes:
        plain = unicodedata.normalize("NFKC", name).casefold()
        alike["".join(c for c in plain if c.isalnum()) or name].append(repr(name))
    twins = [" and ".join(names) for names in alike.values() if len(names) > 1]
    splits = [repr(name) for name in classes if name.casefold() in SPLIT_NAMES]
    sentences = (
        [f"classes {listed(twins)} differ only in case or signs"] if twins else []
    )
    if splits and len(splits) < len(classes):
        sentences.append(f"class {listed(splits)} has the name of a split")
    return tuple(sentences)


def missing_classes(
    classes: Sequence[str], present: Mapping[str, Iterable[int]]
) -> tuple[str, ...]:
    """Name the splits, given by their labels, in which classes do not occur."""
    sentences = []
    for split, labels in present.items():
        seen = set(labels)
        absent = [repr(name) for i, name in enumerate(classes) if i not in seen]
        if absent:
            sentences.append(f"{split} holds none of class {listed(absent)}")
    return tuple(sentences)


def suspicious_letters(texts: Sequence[str]) -> tuple[str, ...]:
    """Name characters of transcripts that nobody has spoken, in sentences."""
    letters = _letters(texts)
    odd = sorted(c for c in letters if not c.isprintable() or c == "\ufffd")
    both = sorted(c for c in letters if c.islower() and c.upper() in letters)
    sentences = []
    if odd:
        names = (f"U+{ord(c):04X}" for c in odd)
        sentences.append(
            f"the transcripts hold the invisible characters {listed(names)}"
        )
    if both:
        sentences.append(f"letters stand in both cases: {listed(both)}")
    return tuple(sentences)


def unknown_letters(
    training: Sequence[str], texts: Sequence[str]
) -> tuple[list[str], float]:
    """Find characters that training transcripts lack, and their share of a split."""
    known, letters = _letters(training), _letters(texts)
    unknown = sorted(set(letters) - set(known))
    share = sum(letters[c] for c in unknown) / max(1, letters.total())
    return unknown, share


def _letters(texts: Sequence[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    for separator in " |":
        del counts[separator]
    return counts
