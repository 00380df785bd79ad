"""Tiny text files on disk."""

from __future__ import annotations

from pathlib import Path


def write_table(file: Path, *lines: str) -> Path:
    """Lines of cells with ``|`` for the tab."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(line.replace("|", "\t") + "\n" for line in lines)
    file.write_text(text, encoding="utf-8")
    return file


def write_generic(folder: Path, *, splits: tuple[str, ...] = ("train", "dev")) -> Path:
    for split in splits:
        rows = [f"{split} text {i}|{'no' if i % 2 else 'yes'}" for i in range(8)]
        write_table(folder / f"{split}.tsv", "sentence|label", *rows)
    return folder
