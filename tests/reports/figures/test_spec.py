"""Every kind of chart keeps to the schema of Vega-Lite, and draws nasty names."""

from __future__ import annotations

import json
from importlib.resources import files
from xml.etree import ElementTree

import jsonschema
import pytest

from ablations.record import ManifestArm
from reports.figures.curve import figure_data
from reports.figures.grid_charts import grid_charts, specification_charts
from reports.figures.main_charts import effect_charts, unit_charts
from reports.figures.spec import Chart, to_pdf, to_svg
from reports.figures.training_charts import health_charts
from reports.page.templating import json_element
from reports.statistics.summary import study_result
from reports.store.frames import trial_frame
from tests.reports.stores import Store, make_manifest, with_cells

NASTY = "</script><b>\u202e ' \" \\ datum.x"


@pytest.fixture(scope="module")
def validator() -> jsonschema.protocols.Validator:
    folder = files("altair.vegalite.v6.schema")
    schema = json.loads((folder / "vega-lite-schema.json").read_text("utf-8"))
    return jsonschema.Draft7Validator(schema)


def check(charts: list[Chart], validator: jsonschema.protocols.Validator) -> None:
    assert charts
    for chart in charts:
        problems = [error.message[:300] for error in validator.iter_errors(chart.spec)]
        assert problems == [], chart.name
        ElementTree.fromstring(to_svg([chart]))


def test_curves_keep_to_the_schema(store: Store, validator):
    manifest = make_manifest("schema_curve", seeds=3)
    for number, cell in enumerate(manifest.cells):
        store.trial(manifest, cell.arm, cell.seed, 60.0 + number**2 % 7)
    frame = trial_frame(store.client, manifest)
    data = figure_data(study_result(frame, manifest), manifest)
    check(effect_charts(data) + unit_charts(data), validator)
    assert to_pdf(effect_charts(data)).startswith(b"%PDF")


def grid(name: str) -> tuple[ManifestArm, ...]:
    return tuple(
        ManifestArm(
            label=f"{NASTY} {lr}, tau={tau}",
            settings={"optimizer.learning_rate": lr, "teacher.tau": tau},
            is_reference=False,
            value=None,
            paper=None,
        )
        for lr in (0.1, NASTY)
        for tau in (0.0, 0.9, 0.99)
    )


def test_grids_and_sorted_arms_keep_to_the_schema(store: Store, validator):
    arms = list(grid("schema_grid"))
    axes = [
        {"setting": "optimizer.learning_rate", "label": NASTY},
        {"setting": "teacher.tau", "label": "tau"},
    ]
    study = {"name": "schema_grid", "title": "Grid", "paper": None, "axes": axes}
    manifest = with_cells(arms, 3, study={**study, "baseline": arms[0].label})
    for number, cell in enumerate(manifest.cells):
        store.trial(
            manifest,
            cell.arm,
            cell.seed,
            60.0 + number**2 % 7,
            status="collapsed" if number == 4 else "finished",
            reason="collapsed at step 20: target/std",
            curves={"target/std": [0.5, 0.1 * number]},
        )
    frame = trial_frame(store.client, manifest)
    result = study_result(frame, manifest)
    data = figure_data(result, manifest)
    charts = effect_charts(data) + unit_charts(data)
    charts += specification_charts(result, manifest) + grid_charts(result, manifest)
    charts += health_charts(frame, manifest)
    check(charts, validator)
    names = [chart.name for chart in charts]
    assert names[-7:] == [
        *("sorted", "settings", "grid", "interaction", "main-0", "main-1"),
        "health-target-std",
    ]
    strip = charts[-1].spec["data"]["values"]
    assert sum(row["kind"] == "cell" for row in strip) == len(manifest.cells)
    assert [row["step"] for row in strip if row["kind"] == "collapse"] == [20]
    tau = charts[-2].spec["data"]["values"]
    means = {row["name"]: row["value"] for row in tau if row["kind"] == "mean"}
    own = [arm for arm in result.arms if arm.label.endswith("tau=0.9")]
    mean = sum(arm.mean.mean for arm in own if arm.mean) / 2.0
    assert means["0.9"] == pytest.approx(mean)


def test_data_cannot_end_its_element():
    text = str(json_element({"a": f"{NASTY}\u2028<!--"}))
    assert "<" not in text
    assert json.loads(text)["a"] == f"{NASTY}\u2028<!--"
