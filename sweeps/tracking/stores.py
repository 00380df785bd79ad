"""Where results go: the tracking store and the storage folder, checked beforehand."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ablations.mlflow_names import DATABASE_FILE
from d2v_core.errors import ConfigError, Problem

ANSWER_SECONDS = 5.0
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}


@dataclass(frozen=True)
class Stores:
    """The places of one lab.

    Attributes:
        storage: Folder of checkpoints, artifacts, reports and the default store.
        tracking_uri: Of MLflow.
    """

    storage: Path
    tracking_uri: str

    @property
    def checkpoints(self) -> Path:
        """One folder per unfinished trial, by key."""
        return self.storage / "checkpoints"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts, when the store is a local database."""
        return self.storage / "artifacts"

    @property
    def database(self) -> Path | None:
        """The SQLite file, when that is the store."""
        prefix = "sqlite:///"
        uri = self.tracking_uri
        return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None

    @property
    def shown_uri(self) -> str:
        """The tracking URI without a password."""
        parts = urlsplit(self.tracking_uri)
        if parts.password is None:
            return self.tracking_uri
        return self.tracking_uri.replace(f":{parts.password}@", ":…@")

    @property
    def is_new(self) -> bool:
        """Whether the store cannot hold anything yet."""
        return self.database is not None and not self.database.exists()


def choose_stores(storage: str | None, tracking_uri: str | None) -> Stores:
    """Options, then ``MLFLOW_TRACKING_URI``, then SQLite inside the storage folder."""
    folder = Path(storage or "d2v-runs").expanduser().resolve()
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    return Stores(folder, uri or f"sqlite:///{folder / DATABASE_FILE}")


def check_stores(stores: Stores) -> None:
    """Refuse places that cannot work, before anything is started or written.

    Raises:
        ConfigError: Nobody answers at the tracking URI, its kind is not supported, or
            the storage folder cannot be written.
    """
    problems = [*_check_folder("--storage", stores.storage)]
    scheme = stores.tracking_uri.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        assert stores.database is not None
        problems += _check_folder("--tracking-uri", stores.database.parent)
    elif scheme in DEFAULT_PORTS:
        problems += _check_answer(stores.tracking_uri, DEFAULT_PORTS[scheme])
    else:
        problems.append(
            Problem(
                "--tracking-uri",
                "must start with sqlite:///, http(s):// or a database scheme such as "
                f"postgresql://, got {stores.tracking_uri!r}",
            )
        )
    if problems:
        raise ConfigError(problems)


def check_address(address: str | None) -> None:
    """Refuse a Ray cluster nobody runs, or an address of another kind.

    Args:
        address: ``host:port``; None, ``auto`` and ``local`` name no host.

    Raises:
        ConfigError: Nobody answers there, or it is no cluster's own address.
    """
    scheme = (address or "").partition("://")[0]
    if scheme in ("ray", "http", "https"):
        requirement = f"must be the cluster's own address, head:6379, got {address!r}"
        remedy = "run d2v on a machine of the cluster, or hand the command to its head"
        submit = "ray job submit --address http://HEAD:8265 -- d2v run …"
        raise ConfigError([Problem("--address", f"{requirement}; {remedy}: {submit}")])
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        requirement = f"no Ray cluster answers at {host}:{port} ({error})"
        remedy = "start one (ray start --head), or leave the option and RAY_ADDRESS out"
        raise ConfigError([Problem("--address", f"{requirement}; {remedy}")]) from None


def answers(uri: str) -> bool:
    """Whether somebody listens at a tracking URI; a local file always does."""
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in DEFAULT_PORTS:
        return True
    try:
        _connect(uri, DEFAULT_PORTS[scheme])
    except OSError:
        return False
    return True


def _connect(uri: str, default_port: int) -> None:
    address = _address(uri, default_port)
    socket.create_connection(address, timeout=ANSWER_SECONDS).close()


def _address(uri: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(uri)
    return (parts.hostname or "localhost", parts.port or default_port)


def _check_answer(uri: str, default_port: int) -> list[Problem]:
    address = _address(uri, default_port)
    try:
        _connect(uri, default_port)
    except OSError as error:
        return [
            Problem(
                "--tracking-uri",
                f"nobody answers at {address[0]}:{address[1]} ({error}); start the "
                "server (d2v ui serves the local store), or leave the option and "
                "MLFLOW_TRACKING_URI out to use SQLite in the storage folder",
            )
        ]
    return []


def _check_folder(option: str, folder: Path) -> list[Problem]:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Problem(option, f"must be a folder that can be written, got {str(folder)!r}")
    ]
