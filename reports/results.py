"""The committed results, written anew from the committed records.

``python -m reports.results docs/results`` reads ``records.parquet`` there and writes a
folder for every study in it, and the scorecard. Only what people look at is kept: the
rest is a command away.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from d2v_core.errors import ConfigError, Problem
from reports.build import build_all
from reports.files import ReportWriteError, write_files
from reports.store.records import RecordsReader

RECORDS_FILE = "records.parquet"
KEPT = ("table.md", "table.csv", "claims.csv", "noise.csv", "ledger.md")
"""Table, verdicts, noise; command, commit, environment and cost in the ledger."""
PICTURES = ".png"
"""Whatever a report draws is kept in this format, which every viewer shows."""
SCORECARD = ("scorecard.md", "scorecard.csv")


def results(records: Path) -> Iterator[tuple[str, bytes]]:
    """Every committed file that follows from the records: path below the folder, bytes.

    Raises:
        ConfigError: The records cannot be used, or one of the studies in them.
    """
    reader = RecordsReader(records, str(records))
    with tempfile.TemporaryDirectory() as scratch:
        built = build_all(records=reader, folder=Path(scratch))
        for fault in built.claims.faults:
            raise ConfigError([Problem(str(records), str(fault))])
        for report in built.reports:
            for name, file in report.files.items():
                if name in KEPT or name.endswith(PICTURES):
                    yield f"{report.folder.name}/{name}", file.read_bytes()
        for name in SCORECARD:
            yield name, built.files[name].read_bytes()


def write_results(folder: Path) -> int:
    """Write them; returns how many files."""
    by_folder: dict[Path, dict[str, bytes]] = {}
    for place, content in results(folder / RECORDS_FILE):
        file = folder / place
        by_folder.setdefault(file.parent, {})[file.name] = content
    for inside, contents in by_folder.items():
        write_files(contents, inside)
    return sum(map(len, by_folder.values()))


if __name__ == "__main__":
    try:
        number = write_results(Path(sys.argv[1]))
    except (ConfigError, ReportWriteError) as error:
        Console(stderr=True).print(str(error), markup=False, soft_wrap=True)
        sys.exit(2)
    Console().print(f"{number} files written in {sys.argv[1]}", markup=False)
