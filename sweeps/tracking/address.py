"""The address of a tracking store or of Optuna's database, parsed once.

Everybody asks this type for file, host and port; nobody cuts addresses as text. A user
name and a password of a web address are taken out of it and handed to MLflow through
the environment, as its own documentation has it, so that nothing that holds the
address can give them away.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from ablations.redaction import redacted
from d2v_core.errors import ConfigError, Problem, shown

DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
MAX_ADDRESS = 2_000
PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][\w.+-]*)://"
    r"(?:(?P<user>[^/?#]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^/?#:\[\]@]*))"
    r"(?::(?P<port>[^/?#]*))?"
    r"(?:/(?P<path>[^?]*))?"
    r"(?:\?(?P<query>.*))?"
)
"""As SQLAlchemy parses database addresses; web addresses are of the same form."""
FORMS = (
    "must be sqlite:////folder/mlflow.db, http(s)://host:port or "
    "postgresql://user@host/name"
)


@dataclass(frozen=True)
class Address:
    """Where a store is.

    Attributes:
        scheme: ``sqlite``, ``http``, ``https``, ``postgresql`` or ``mysql``.
        uri: For MLflow, Optuna and SQLAlchemy; of a database it may hold a password.
        host: None for a file, or a database behind a socket of this machine.
        port: Likewise.
        file: SQLite's file.
        name: Path or database on the host.
        login: User name and password of a web address.
    """

    scheme: str
    uri: str = field(repr=False)
    host: str | None = None
    port: int | None = None
    file: Path | None = None
    name: str = ""
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """For people, records and pasted commands: without any password."""
        if self.file is not None:
            return f"sqlite:///{_quoted(self.file)}"
        return redacted(self.uri)

    @property
    def is_web(self) -> bool:
        """Whether a server of MLflow's answers there."""
        return self.scheme in ("http", "https")

    def same_place(self, other: Address) -> bool:
        """Whether both are one database."""
        if self.file is not None or other.file is not None:
            return self.file == other.file
        mine = (self.scheme, self.host, self.port, self.name)
        return mine == (other.scheme, other.host, other.port, other.name)

    def log_in(self) -> None:
        """Give user name and password to MLflow's client."""
        if self.login is not None:
            user, password = self.login
            os.environ["MLFLOW_TRACKING_USERNAME"] = user
            os.environ["MLFLOW_TRACKING_PASSWORD"] = password
            if "MLFLOW_TRACKING_URI" in os.environ:
                os.environ["MLFLOW_TRACKING_URI"] = self.uri


def sqlite_address(file: Path) -> Address:
    """Address of a file, whatever characters its path has."""
    quoted = _quoted(file)
    # MLflow makes the folder of a sqlite:/// address as it is spelt, "%3F" included.
    driver = "" if quoted == str(file) else "+pysqlite"
    return Address("sqlite", f"sqlite{driver}:///{quoted}", file=file)


def _quoted(file: Path) -> str:
    return str(file).replace("%", "%25").replace("?", "%3F")


def parse_address(text: str, option: str, *, web: bool = True) -> Address:
    """Parse what was typed.

    Args:
        text: The address.
        option: Named in messages.
        web: Whether a server's address is allowed.

    Raises:
        ConfigError: It is none, or of another kind; no message holds a password.
    """
    try:
        return _parse(text.strip(), web)
    except ValueError as error:
        given = shown(redacted(text[:MAX_ADDRESS]))
        raise ConfigError([Problem(option, f"{error}, got {given}")]) from None


def _parse(text: str, web: bool) -> Address:
    parts = PARTS.fullmatch(text)
    scheme, _, driver = text.partition(":")[0].lower().partition("+")
    known = ("sqlite", *DEFAULT_PORTS) if web else ("sqlite", "postgresql", "mysql")
    if len(text) > MAX_ADDRESS:
        raise ValueError(f"must have at most {MAX_ADDRESS:,} characters")
    if scheme not in known:
        web_form = "http(s)://, " if web else ""
        message = f"must start with sqlite:///, {web_form}or a database scheme such as"
        raise ValueError(f"{message} postgresql://")
    if parts is None:
        raise ValueError(f"{FORMS}; an IPv6 host stands in brackets, [::1]")
    if scheme == "sqlite":
        return _sqlite(parts, driver)
    host, port = parts["ipv6"] or parts["host"] or None, _port(parts["port"])
    if host is None and scheme in ("http", "https"):
        raise ValueError("must name a host, http://127.0.0.1:5000")
    if host is not None:
        port = port or DEFAULT_PORTS[scheme]
    if scheme in ("http", "https"):
        return _served(parts, scheme, host, port)
    name = unquote(parts["path"] or "")
    return Address(scheme, text, host, port, name=name)


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """``head:6379`` or ``[::1]:6379``.

    Raises:
        ConfigError: It is neither.
    """
    parts = PARTS.fullmatch(f"tcp://{text}")
    host = parts and (parts["ipv6"] or parts["host"])
    try:
        port = _port(parts["port"]) if parts else None
    except ValueError:
        port = None
    if not parts or not host or port is None or parts["path"] or parts["user"]:
        message = (
            "must be host:port with a port from 1 to 65535, an IPv6 host in brackets"
        )
        raise ConfigError([Problem(option, f"{message}, got {shown(text)}")])
    return host, port


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:
        raise ValueError("must have a port from 1 to 65535 behind the host")
    return int(text)


def _sqlite(parts: re.Match[str], driver: str) -> Address:
    path, host = unquote(parts["path"] or ""), parts["ipv6"] or parts["host"]
    ours = driver == "pysqlite" and "%" in (parts["path"] or "")  # as we write it
    if (driver and not ours) or host or parts["port"] or not path or path == ":memory:":
        message = (
            "must be a file, sqlite:////folder/mlflow.db, with three slashes before"
        )
        raise ValueError(f"{message} its path")
    if "\0" in path:
        raise ValueError("must be the path of a file")
    address = sqlite_address(Path(path).expanduser().absolute())
    options = [pair for pair in parse_qsl(parts["query"] or "") if pair[0] != "uri"]
    if not options:
        return address
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in options)
    return Address("sqlite", f"{address.uri}?{query}", file=address.file)


def _served(
    parts: re.Match[str], scheme: str, host: str | None, port: int | None
) -> Address:
    path = (parts["path"] or "").rstrip("/")
    if parts["query"] is not None or "#" in path:
        raise ValueError("must end before ? and #: it is the server's address, no page")
    user, colon, password = (parts["user"] or "").partition(":")
    shown_host = f"[{parts['ipv6']}]" if parts["ipv6"] else str(host)
    shown_port = f":{port}" if parts["port"] else ""
    uri = f"{scheme}://{shown_host}{shown_port}{'/' * bool(path)}{path}"
    login = (unquote(user), unquote(password)) if colon else None
    return Address(scheme, uri, host, port, name=path, login=login)
