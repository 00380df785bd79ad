"""Where results go: the tracking store and the storage folder, checked beforehand."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ablations.mlflow_names import DATABASE_FILE
from d2v_core.errors import ConfigError, Problem, shown
from sweeps.tracking.address import (
    Address,
    host_and_port,
    parse_address,
    sqlite_address,
)
from sweeps.tracking.sqlite import OPTUNA, check_sqlite

ANSWER_SECONDS = 5.0
MAX_FOLDER = 1_000
"""Characters of a path, so that what lies below has room."""


@dataclass(frozen=True)
class Stores:
    """The places of one lab.

    Attributes:
        storage: Folder of checkpoints, artifacts, reports and the default store.
        tracking_uri: URI of MLflow; of a database it may hold a password.
    """

    storage: Path
    tracking_uri: str = field(repr=False)

    @property
    def checkpoints(self) -> Path:
        """Unfinished work: a folder per trial and per training, by key."""
        return self.storage / "checkpoints"

    @property
    def encoders(self) -> Path:
        """Kept encoders: a folder each, by training key."""
        return self.storage / "encoders"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts, when the store is a local database."""
        return self.storage / "artifacts"

    @property
    def address(self) -> Address:
        """The tracking URI, parsed."""
        return parse_address(self.tracking_uri, "--tracking-uri")

    @property
    def database(self) -> Path | None:
        """The SQLite file, when that is the store."""
        return self.address.file

    @property
    def shown_uri(self) -> str:
        """The tracking URI without a password."""
        return self.address.shown

    @property
    def is_new(self) -> bool:
        """Whether the store cannot hold anything yet."""
        return self.database is not None and not self.database.exists()


def choose_stores(storage: str | None, tracking_uri: str | None) -> Stores:
    """Options, then ``MLFLOW_TRACKING_URI``, then SQLite inside the storage folder.

    User name and password of a web address go to MLflow's client, and nowhere else.

    Raises:
        ConfigError: The address is none, or of a kind that is not supported; or the
            storage is no path.
    """
    try:
        folder = Path(storage or "d2v-runs").expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, no home
        raise ConfigError([_no_folder("--storage", storage or "")]) from None
    if len(str(folder)) > MAX_FOLDER:
        raise ConfigError([_no_folder("--storage", str(folder))])
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return Stores(folder, sqlite_address(folder / DATABASE_FILE).uri)
    address = parse_address(uri, "--tracking-uri")
    address.log_in()
    return Stores(folder, address.uri)


def check_stores(stores: Stores, studies: Iterable[str] = ()) -> None:
    """Refuse places that cannot work, before anything is started or written.

    Args:
        stores: The places.
        studies: Names of the experiments that are wanted; none of them may be deleted.

    Raises:
        ConfigError: Nobody answers at the tracking URI, or not as MLflow does; its
            database is another's, or of another version; the storage folder cannot be
            written; or an experiment is deleted.
    """
    address = stores.address
    problems = [*_check_folder("--storage", stores.storage)]
    if address.file is not None:
        problems += _check_folder("--tracking-uri", address.file.parent)
    elif not _answers(address):
        problems += [_no_answer(address)]
    if problems:
        raise ConfigError(problems)
    if not stores.is_new:
        from sweeps.tracking.state import check_state  # imports MLflow

        check_state(address, studies)


def check_search_storage(stores: Stores, uri: str) -> str:
    """Optuna's address, as Optuna takes it.

    Raises:
        ConfigError: It is none, or MLflow's own database.
    """
    address = parse_address(uri, "--optuna-storage", web=False)
    if address.same_place(stores.address):
        message = "must be another database than --tracking-uri: both would keep tables"
        remedy = (
            "of one name there; leave it out to use search.db in the storage folder"
        )
        raise ConfigError([Problem("--optuna-storage", f"{message} {remedy}")])
    if address.host is not None and not _answers(address):
        where = f"{address.host}:{address.port}"
        message = (
            f"nobody answers at {where}; start the database, or leave the option out"
        )
        raise ConfigError([Problem("--optuna-storage", message)])
    if address.file is not None:
        if problems := _check_folder("--optuna-storage", address.file.parent):
            raise ConfigError(problems)
        check_sqlite(address.file, "--optuna-storage", OPTUNA)
    return address.uri


def check_address(address: str | None) -> None:
    """Refuse a Ray cluster nobody runs, or an address of another kind.

    Args:
        address: ``host:port``; None, ``auto`` and ``local`` name no host.

    Raises:
        ConfigError: Nobody answers there, or it is no cluster's own address.
    """
    if address in (None, "auto", "local", ""):
        return
    scheme = (address or "").partition("://")[0]
    if scheme in ("ray", "http", "https"):
        requirement = (
            f"must be the cluster's own address, head:6379, got {shown(address)}"
        )
        remedy = "run d2v on a machine of the cluster, or hand the command to its head"
        submit = "ray job submit --address http://HEAD:8265 -- d2v run …"
        raise ConfigError([Problem("--address", f"{requirement}; {remedy}: {submit}")])
    host, port = host_and_port(address or "", "--address")
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        requirement = f"no Ray cluster answers at {host}:{port} ({error})"
        remedy = "start one (ray start --head), or leave the option and RAY_ADDRESS out"
        raise ConfigError([Problem("--address", f"{requirement}; {remedy}")]) from None


def answers(uri: str) -> bool:
    """Whether somebody listens at a tracking URI; a local file always does."""
    return _answers(parse_address(uri, "--tracking-uri"))


def _answers(address: Address) -> bool:
    if address.host is None:
        return True
    try:
        place = (address.host, address.port)
        socket.create_connection(place, timeout=ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def _no_answer(address: Address) -> Problem:
    return Problem(
        "--tracking-uri",
        f"nobody answers at {address.host}:{address.port}; start the "
        "server (d2v ui serves the local store), or leave the option and "
        "MLFLOW_TRACKING_URI out to use SQLite in the storage folder",
    )


def _check_folder(option: str, folder: Path) -> list[Problem]:
    try:
        existing = folder
        while not existing.exists():
            existing = existing.parent
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            return []
    except OSError:  # a name that is too long, a folder nobody may enter
        pass
    return [_no_folder(option, str(folder))]


def _no_folder(option: str, given: str) -> Problem:
    return Problem(option, f"must be a folder that can be written, got {shown(given)}")
