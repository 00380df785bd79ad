"""One tracking store for the session: making one costs seconds."""

from __future__ import annotations

import pytest

from tests.reports.stores import Store, make_store


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17's own use of SQLAlchemy, at the first use of a store.
    config.addinivalue_line(
        "filterwarnings", "ignore:The ``noload`` loader strategy is deprecated"
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for the session; every test uses studies of its own."""
    return make_store(tmp_path_factory.mktemp("store"))
