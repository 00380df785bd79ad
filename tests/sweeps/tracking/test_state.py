"""Every state of a store that is no outage is refused at once, with what to do."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from d2v_core.errors import ConfigError
from sweeps.tracking.database import create_database
from sweeps.tracking.sqlite import MLFLOW, _versions
from sweeps.tracking.state import refuses
from sweeps.tracking.stores import Stores, check_stores, choose_stores


@contextmanager
def service(code: int, page: bytes) -> Iterator[str]:
    """Something that answers every request so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def refused(stores: Stores, *studies: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_stores(stores, studies)
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "page", "says"),
    [
        (
            401,
            b"<html>no</html>",
            "refuses us (HTTP 401); set MLFLOW_TRACKING_USERNAME",
        ),
        (401, b'{"error_code": "UNAUTHENTICATED"}', "refuses us (HTTP 401)"),
        (403, b"no", "refuses us (HTTP 403); set MLFLOW_TRACKING_USERNAME"),
        (404, b"<html>no</html>", "another service answers (HTTP 404)"),
        (200, b"<html>hello</html>", "another service answers (a page, no JSON)"),
        (500, b"oh", "cannot answer"),
    ],
)
def test_answers_that_are_not_mlflows_are_refused(
    tmp_path: Path, code: int, page: bytes, says: str
) -> None:
    with service(code, page) as address:
        message = refused(choose_stores(str(tmp_path), address))
        with pytest.raises(MlflowException) as caught:
            MlflowClient(tracking_uri=address).search_experiments(max_results=1)
    assert message.startswith("--tracking-uri: ")
    assert f" {address}" in message
    assert says in message
    assert len(message.splitlines()) == 1
    assert refuses(caught.value) == (code != 500)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A new store with an experiment, in a folder that needs quoting."""
    made = choose_stores(str(tmp_path / "my lab?"), None)
    assert made.database is not None
    create_database(made.database, made.artifacts)
    MlflowClient(tracking_uri=made.tracking_uri).create_experiment("mine")
    return made


def test_a_store_lies_where_its_address_says(stores: Stores, tmp_path: Path) -> None:
    assert stores.database == tmp_path / "my lab?" / "mlflow.db"
    assert not stores.is_new
    check_stores(stores, ["mine", "other"])
    assert [path.name for path in tmp_path.iterdir()] == ["my lab?"]


def test_a_deleted_experiment_is_refused_with_its_restore_command(
    stores: Stores,
) -> None:
    client = MlflowClient(tracking_uri=stores.tracking_uri)
    known = client.get_experiment_by_name("mine")
    assert known is not None
    client.delete_experiment(known.experiment_id)
    message = refused(stores, "other", "mine")
    assert "the experiment 'mine' is deleted there" in message
    found = re.search(r"restore it: (.*?) ; or give", message)
    assert found is not None
    setting, *words = shlex.split(found.group(1))
    assert setting == f"MLFLOW_TRACKING_URI={stores.shown_uri}"
    assert words[:3] == ["mlflow", "experiments", "restore"]
    client.restore_experiment(words[-1])
    check_stores(stores, ["mine"])


def test_another_version_of_the_tables_is_one_line(
    stores: Stores, tmp_path: Path
) -> None:
    assert stores.database is not None
    file = shutil.copy(stores.database, tmp_path)  # MLflow knows the first one as fine
    stores = choose_stores(str(tmp_path), f"sqlite:///{file}")
    assert stores.database is not None
    older = sorted(_versions(MLFLOW))[0]
    with sqlite3.connect(stores.database) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (older,))
    database.close()
    message = refused(stores)
    assert "was written by another MLflow" in message
    assert f"mlflow db upgrade '{stores.shown_uri}'" in message
    assert len(message.splitlines()) == 1
