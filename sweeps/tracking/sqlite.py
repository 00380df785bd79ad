"""What a SQLite file is, told from the outside before a library opens it.

Both MLflow and Optuna would make their tables inside a stranger's file.
"""

from __future__ import annotations

import importlib.util
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from d2v_core.errors import ConfigError, Problem

HEADER = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Owner:
    """A library that keeps its tables in a file.

    Attributes:
        name: For people.
        table: It has always had.
        migrations: Folder of its versions, inside its package; empty: not looked at.
    """

    name: str
    table: str
    migrations: tuple[str, ...] = ()


MLFLOW = Owner(
    "MLflow", "experiments", ("mlflow", "store", "db_migrations", "versions")
)
OPTUNA = Owner("Optuna", "studies")


def check_sqlite(file: Path, option: str, owner: Owner) -> None:
    """Refuse a file that is not a library's database, or is newer than the library.

    Args:
        file: Nothing is said of one that is not there, or empty: it is made.
        option: Named in messages.
        owner: Library whose tables are expected.

    Raises:
        ConfigError: It is a folder, no database, a stranger's, or of a newer version.
    """
    if not file.exists():
        return
    if not file.is_file():
        raise _refusal(option, f"must be a file, {str(file)!r} is none")
    try:
        with file.open("rb") as opened:
            head = opened.read(len(HEADER))
        if not head:
            return
        tables, version = _look(file) if head == HEADER else (None, None)
    except (OSError, sqlite3.Error) as error:
        raise _refusal(option, f"{str(file)!r} cannot be read ({error})") from None
    other = "give another file, or move this one away"
    if tables is None:
        raise _refusal(option, f"{str(file)!r} is no SQLite database; {other}")
    if tables and owner.table not in tables:
        message = f"{str(file)!r} is a database, and not one of {owner.name}'s"
        raise _refusal(option, f"{message}; {other}")
    known = _versions(owner)
    if version and known and version not in known:
        message = (
            f"{str(file)!r} was written by a newer {owner.name} (version {version})"
        )
        raise _refusal(option, f"{message}; install that {owner.name}, or {other}")


def _look(file: Path) -> tuple[set[str], str | None]:
    """Names of the tables, and the version of the schema."""
    address = f"file:{quote(str(file))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=5.0)) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {str(name) for (name,) in names}
        if "alembic_version" not in tables:
            return tables, None
        row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return tables, str(row[0]) if row else None


def _versions(owner: Owner) -> set[str]:
    """Versions of the schema that the installed library knows; empty: cannot tell."""
    if not owner.migrations:
        return set()
    spec = importlib.util.find_spec(owner.migrations[0])
    places = spec.submodule_search_locations if spec else None
    if not places:
        return set()
    folder = Path(places[0]).joinpath(*owner.migrations[1:])
    return {file.name.partition("_")[0] for file in folder.glob("*_*.py")}


def _refusal(option: str, message: str) -> ConfigError:
    return ConfigError([Problem(option, message)])
