"""A study with every kind of trouble, as results and as a table."""

from __future__ import annotations

import pandas as pd
import pytest

from ablations.record import Manifest
from reports.statistics.summary import StudyResult, study_result
from reports.store.frames import trial_frame
from reports.tables.table import Table, build_table
from tests.reports.stores import Store, make_manifest


@pytest.fixture(scope="module")
def troubled(store: Store) -> tuple[Manifest, pd.DataFrame]:
    """Two seeds; K=2 misses one, K=3 failed twice, one of K=4 collapsed."""
    manifest = make_manifest("troubled")
    store.study(manifest)
    values = {"K=1": 60.0, "K=2": 62.0, "K=4": 61.0, "untrained": 40.0}
    for cell in manifest.cells:
        place = (cell.arm, cell.seed)
        if place == ("K=2", 1) or cell.arm == "supervised":
            continue
        if cell.arm == "K=3":
            store.trial(manifest, *place, None, status="failed", reason="loss is nan")
        elif place == ("K=4", 1):
            store.trial(manifest, *place, 20.0, status="collapsed", reason="std 0.001")
        else:
            store.trial(manifest, *place, values[cell.arm] + cell.seed)
    return manifest, trial_frame(store.client, manifest)


@pytest.fixture(scope="module")
def result(troubled: tuple[Manifest, pd.DataFrame]) -> StudyResult:
    return study_result(troubled[1], troubled[0])


@pytest.fixture(scope="module")
def table(troubled: tuple[Manifest, pd.DataFrame], result: StudyResult) -> Table:
    return build_table(result, troubled[0])
