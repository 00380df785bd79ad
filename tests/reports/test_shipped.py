"""Every shipped study, planned as it is, with made-up numbers: nothing breaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ablations.library import load_study, study_names
from ablations.record import Manifest
from ablations.study.arms import Request
from d2v_core.config import TRIAL_TYPES
from reports.claims.verdicts import study_verdicts
from reports.claims.view import claims_markdown
from reports.figures.curve import figure_data
from reports.figures.main_charts import unit_charts
from reports.figures.spec import to_svg
from reports.statistics.summary import study_result
from reports.tables.formats import table_csv, to_markdown
from reports.tables.latex import to_latex
from reports.tables.table import build_table
from sweeps.plan.planning import make_manifest, plan_study

PLACES = [
    (name, modality)
    for name in study_names()
    for modality in load_study(name).metric
    if modality in TRIAL_TYPES
]
QUICK = ("collapse", "layer_averaging", "main_results")
"""Studies of which all that is shown is made up every time."""


def made_up(manifest: Manifest, logged_as: str, status: str) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "arm": cell.arm,
            "seed": cell.seed,
            "status": status,
            "reason": "",
            logged_as: generator.normal(60.0, 1.0) if status != "missing" else np.nan,
        }
        for cell in manifest.cells
    )


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        pytest.param(*place, marks=[] if place[0] in QUICK else pytest.mark.thorough)
        for place in PLACES
    ],
)
def test_a_shipped_study_gets_table_figure_and_verdicts(name: str, modality: str):
    request = Request(modality, "smoke", seeds=tuple(range(6)))
    plan = plan_study(name, request, require_data=False)
    manifest = Manifest.model_validate_json(make_manifest(plan, "").model_dump_json())
    for status in ("finished", "collapsed", "missing"):
        frame = made_up(manifest, plan.metric.logged_as, status)
        result = study_result(frame, manifest)
        table = build_table(result, manifest)
        verdicts = study_verdicts(result, manifest)
        assert len(verdicts) == len(manifest.study["claims"])
        assert not any("the study has no arm" in v.reason for v in verdicts), verdicts
        if status == "missing":
            assert {v.verdict for v in verdicts} <= {"undecided"}
        written = [to_markdown(table), to_latex(table), claims_markdown(verdicts)]
        written += [
            table_csv(result, manifest),
            to_svg(unit_charts(figure_data(result, manifest))),
        ]
        assert all("nan" not in text.lower() for text in written[:3])
