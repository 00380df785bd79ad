"""Addresses are parsed once; no message and no text that leaves us holds a password."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from ablations.redaction import HIDDEN, redacted
from d2v_core.errors import ConfigError
from sweeps.tracking.address import (
    Address,
    host_and_port,
    parse_address,
    sqlite_address,
)
from sweeps.tracking.sqlite import MLFLOW, OPTUNA, check_sqlite
from sweeps.tracking.stores import check_search_storage, choose_stores

PASSWORD = "s3cr3tpw"


def parsed(text: str, *, web: bool = True) -> Address:
    return parse_address(text, "--tracking-uri", web=web)


def refused(text: str, *, web: bool = True) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text, web=web)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "port", "name"),
    [
        ("http://127.0.0.1:5000", "127.0.0.1", 5000, ""),
        ("https://lab.example/ml/", "lab.example", 443, "ml"),
        ("http://[::1]:5000", "::1", 5000, ""),
        ("http://[fe80::1]", "fe80::1", 80, ""),
        ("postgresql+psycopg2://d2v@db/lab?sslmode=require", "db", 5432, "lab"),
        ("postgresql://[::1]:5433/lab", "::1", 5433, "lab"),
        ("postgresql:///lab?host=/run/postgresql", None, None, "lab"),
        ("mysql+pymysql://d2v@db:3307/lab", "db", 3307, "lab"),
    ],
)
def test_served_addresses_have_host_and_port(
    text: str, host: str | None, port: int | None, name: str
) -> None:
    address = parsed(text)
    assert (address.host, address.port, address.name) == (host, port, name)
    assert address.file is None
    assert redacted(address.uri) == address.shown


@pytest.mark.parametrize("name", ["plain", "what?now", "100%", "a%3Fb", "a b", "ü#&=;"])
def test_sqlalchemy_opens_the_very_file_whatever_its_name(name: str) -> None:
    file = Path("/lab") / name / "mlflow.db"
    address = sqlite_address(file)
    assert make_url(address.uri).database == str(file)
    assert parsed(address.uri).file == file
    assert parsed(address.shown).file == file


def test_options_of_a_file_are_kept_and_are_no_part_of_its_path() -> None:
    address = parsed("sqlite:////lab/mlflow.db?timeout=30")
    assert address.file == Path("/lab/mlflow.db")
    assert make_url(address.uri).query == {"timeout": "30"}


def test_a_relative_file_is_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parsed("sqlite:///mlflow.db").file == tmp_path / "mlflow.db"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("sqlite:mlflow.db", "must be sqlite:////folder/mlflow.db"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite://host/x.db", "must be a file"),
        ("sqlite+pysqlite:////x.db", "must be a file"),
        ("http://127.0.0.1:99999", "must have a port from 1 to 65535"),
        ("http://127.0.0.1:²", "must have a port from 1 to 65535"),
        (f"http://bob:{PASSWORD}@127.0.0.1:22x", "must have a port"),
        (f"http://bob:p/{PASSWORD}@host", "must have a port"),
        ("http://[::1", "an IPv6 host stands in brackets"),
        ("http://", "must name a host"),
        ("http://host:5000/#/experiments/1", "must end before ? and #"),
        (f"mongodb://bob:{PASSWORD}@127.0.0.1/x", "must start with sqlite:///"),
        ("file:///tmp/x", "must start with sqlite:///"),
        ("", "must start with sqlite:///"),
        ("http://" + "x" * 5_000, "must have at most 2,000 characters"),
    ],
)
def test_slips_are_named_without_the_password(text: str, rule: str) -> None:
    message = refused(text)
    assert message.startswith("--tracking-uri: must ")
    assert rule in message
    assert PASSWORD not in message


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(
        ["", "sqlite:", "sqlite://", "http://", "postgresql://u:p@", "x://"]
    ),
    st.text(alphabet="a1:/@?#[]%&=²é\0\t .+-", max_size=20),
)
def test_any_text_is_an_address_or_an_error_of_ours(start: str, rest: str) -> None:
    try:
        address = parsed(start + rest)
    except ConfigError as error:
        assert len(error.problems) == 1  # noqa: PT017
    else:
        assert address.file is not None or address.scheme != "sqlite"


def test_the_login_of_a_server_leaves_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("USERNAME", "PASSWORD", "URI"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "before")
    stores = choose_stores("/lab", f"http://bob:{PASSWORD}%40x@host:5000/ml")
    assert stores.tracking_uri == "http://host:5000/ml"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "bob"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == f"{PASSWORD}@x"
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://host:5000/ml"


def test_addresses_are_not_shown_by_accident() -> None:
    uri = f"postgresql://d2v:{PASSWORD}@db/lab"
    stores = choose_stores("/lab", uri)
    assert PASSWORD not in repr(stores) + repr(stores.address) + stores.shown_uri
    assert stores.tracking_uri == uri


@pytest.mark.parametrize(
    "text", ["host", "host:", "host:x", "host:²", "::1:6379", "h:0"]
)
def test_a_cluster_is_host_and_port(text: str) -> None:
    with pytest.raises(ConfigError, match="must be host:port"):
        host_and_port(text, "--address")
    assert host_and_port("[::1]:6379", "--address") == ("::1", 6379)
    assert host_and_port("head:6379", "--address") == ("head", 6379)


@pytest.mark.parametrize(
    "text",
    [
        f"d2v run x --tracking-uri http://bob:{PASSWORD}@127.0.0.1:5057 --seeds 2",
        f"View run a at: https://bob:{PASSWORD}@h/#/experiments/1",
        f"http://bob:{PASSWORD}@@h http://eve:{PASSWORD}@h",
        f"http://bob:a/{PASSWORD}?#@h:5000",
        f"postgresql+psycopg2://d2v:{PASSWORD}@db/lab?sslpassword={PASSWORD}&x=1",
        f"s3://key:{PASSWORD}@bucket/folder",
        f"PGPASSWORD={PASSWORD} MLFLOW_TRACKING_TOKEN={PASSWORD} d2v run x",
        f"AWS_SECRET_ACCESS_KEY={PASSWORD}",
        f"connection failed: host=db user=d2v password={PASSWORD} dbname=x",
    ],
)
def test_a_password_is_taken_out_wherever_it_stands(text: str) -> None:
    assert PASSWORD not in redacted(text)
    assert HIDDEN in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/x@y and http://[::1]:5000/a@b",
        "--set text.max_tokens=512 --set mask.kind=bert",
        "sqlite:////lab/mlflow.db?timeout=30",
        "postgresql://d2v@db:5432/lab",
        "/home/me@lab/data: 10:30",
        '{"a": "http://host:5000", "user": "bob@lab"}',
    ],
)
def test_nothing_else_is_taken_out(text: str) -> None:
    assert redacted(text) == text


def test_what_the_environment_calls_a_secret_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2!x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.setenv("SOME_TOKEN_FILE", "/run/token")
    text = "no hunter2!x. at hunter2%21x in /lab/lab.db, /run/token"
    assert redacted(text) == f"no {HIDDEN}. at {HIDDEN} in /lab/lab.db, /run/token"


def test_one_database_for_both_is_refused(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/lab.db"
    stores = choose_stores(str(tmp_path), uri)
    for same in (uri, f"{uri}?timeout=3", f"sqlite:///{tmp_path}/./lab.db"):
        with pytest.raises(ConfigError, match="must be another database than"):
            check_search_storage(stores, same)
    other = f"sqlite:///{tmp_path}/search.db"
    assert check_search_storage(stores, other) == other
    with pytest.raises(ConfigError, match="must start with sqlite:///, or a database"):
        check_search_storage(stores, "http://host:5000")


def database(file: Path, *tables: str, version: str = "") -> Path:
    with sqlite3.connect(file) as opened:
        for table in tables:
            opened.execute(f"CREATE TABLE {table} (version_num TEXT)")
        if version:
            opened.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    opened.close()
    return file


def test_a_file_is_looked_at_before_a_library_opens_it(tmp_path: Path) -> None:
    def says(file: Path, owner: object = MLFLOW) -> str:
        with pytest.raises(ConfigError) as caught:
            check_sqlite(file, "--tracking-uri", owner)  # type: ignore[arg-type]
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    text = tmp_path / "text.db"
    text.write_text("1\n2\n")
    optuna = database(tmp_path / "optuna.db", "studies", "trials")
    newer = database(
        tmp_path / "new.db", "experiments", "alembic_version", version="zzz"
    )
    assert "is no SQLite database" in says(text)
    assert "must be a file" in says(tmp_path)
    assert "not one of MLflow's" in says(optuna)
    assert "not one of Optuna's" in says(newer, OPTUNA)
    assert "was written by a newer MLflow (version zzz)" in says(newer)
    (tmp_path / "empty.db").touch()
    for fine in (tmp_path / "none.db", tmp_path / "empty.db"):
        check_sqlite(fine, "--tracking-uri", MLFLOW)
    check_sqlite(optuna, "--optuna-storage", OPTUNA)
