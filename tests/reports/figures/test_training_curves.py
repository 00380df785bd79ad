"""Curves over training, and the study's own curve beside the paper's."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from reports.figures.figure import draw_png, draw_svg
from reports.figures.sparklines import draw_curves

from reports.figures import training_curves as curves_module
from reports.figures.curve import Level, figure_data
from reports.figures.training_curves import Curve, average, read_curves
from reports.statistics.summary import study_result
from reports.store.frames import trial_frame
from tests.reports.stores import Store, make_manifest, make_named_manifest


def test_a_curve_is_the_mean_over_the_seeds_that_have_the_step():
    curve = average("a", "train/loss", [{10: 1.0, 20: 3.0}, {10: 3.0}], [])
    assert (curve.steps, curve.means, curve.num_seeds) == ((10, 20), (2.0, 3.0), 2)
    assert curve.at(15) == 2.5


def test_long_histories_keep_their_ends():
    history = {step: float(step) for step in range(1, 5_001)}
    curve = average("a", "train/loss", [history], [])
    assert len(curve.steps) == curves_module.MAX_POINTS
    assert (curve.steps[0], curve.steps[-1]) == (1, 5_000)


@pytest.fixture(scope="module")
def filled(store: Store):
    manifest = make_manifest("curved", ks=(1, 2), references=("untrained",), seeds=3)
    store.study(manifest)
    for cell in manifest.cells:
        if cell.arm == "untrained":
            continue
        dead = (cell.arm, cell.seed) == ("K=2", 1)
        store.trial(
            manifest,
            cell.arm,
            cell.seed,
            60.0,
            status="collapsed" if dead else "finished",
            reason="collapsed at step 20: target/std 0 is below 0.1" if dead else "",
            curves={
                "target/std": [0.5, math.nan, 0.7 + cell.seed],
                "prediction/std": [math.inf, 0.2],
            },
        )
    return manifest


def test_histories_come_from_the_store_with_collapses(store: Store, filled):
    found = read_curves(store.client, trial_frame(store.client, filled), filled)
    assert [curve.arm for curve in found.of("target/std")] == ["K=1", "K=2"]
    curve = found.of("target/std")[1]
    assert curve.steps == (10, 30)
    assert curve.means == (0.5, pytest.approx(1.7))
    assert curve.collapses == ((20, 1),)
    assert found.of("prediction/std")[0].steps == (20,)
    assert (found.seeds_shown, found.seeds_planned) == (3, 3)


def test_a_large_study_shows_its_first_seeds(store: Store, filled, monkeypatch):
    monkeypatch.setattr(curves_module, "MAX_HISTORIES", 9)
    found = read_curves(store.client, trial_frame(store.client, filled), filled)
    assert (found.seeds_shown, found.seeds_planned) == (1, 3)
    assert {curve.num_seeds for curve in found.curves} == {1}


def test_drawings_are_well_formed_and_their_text_is_text():
    name = "<script>alert(1)</script> & co"
    curve = Curve(name, "target/std", (10, 20), (0.5, 0.4), 2, ((20, 1),))
    single = Curve("one", "target/std", (20,), (0.4,), 1, ())
    svg = draw_curves([curve, single], [name, "one"], threshold=0.39)
    root = ET.fromstring(svg)
    titles = [node.text for node in root.iter("title")]
    assert f"{name}, seed 1 collapsed at step 20" in titles
    assert "least healthy value 0.39" in titles
    assert len(re.findall("<circle", svg)) == 1
    flat = draw_curves([Curve("a", "m", (0,), (1.0,), 1, ())], ["a"])
    assert "nan" not in flat


def test_fractions_of_the_depth_share_an_axis_with_the_paper(store: Store):
    manifest = make_manifest("depths")
    for arm in ("K=2", "untrained", "supervised"):
        store.trial(manifest, arm, 0, 60.0)
    frame = trial_frame(store.client, manifest)
    data = figure_data(study_result(frame, manifest), manifest)
    assert [point.position for point in data.ours.points] == [0.25, 0.5, 0.75, 1.0]
    assert [point.position for point in data.paper.points] == [
        k / 12 for k in range(1, 13)
    ]
    assert data.paper.points[2].mean == 84.02
    assert data.paper.title == "Paper: Figure 2 (digitised, ±0.02)"
    assert [level.label for level in data.ours.levels] == ["untrained", "supervised"]
    assert data.ours.points[1].half_width is None


@pytest.mark.parametrize("values", [{"fraction_of_depth": ["1"]}, [1, 2]])
def test_the_papers_reference_arms_are_levels_beside_its_curve(values):
    manifest = make_manifest(
        "with_reference",
        axis={"setting": "target.top_k", "label": "K", "values": values},
    )
    published = manifest.study["published"]["vision"]
    published["values"] = {"1": 83.0, "2": 84.0, "untrained": 10.0}
    frame = pd.DataFrame(
        {"arm": c.arm, "seed": c.seed, "status": "missing", "reason": ""}
        for c in manifest.cells
    )
    data = figure_data(study_result(frame, manifest), manifest)
    assert [point.label for point in data.paper.points] == ["1", "2"]
    assert data.paper.levels == (Level("untrained", 10.0),)
    assert draw_svg(data)


def test_other_axes_stand_in_order_and_match_by_value(store: Store):
    manifest = make_manifest(
        "values",
        ks=(4, 1),
        axis={"setting": "target.top_k", "label": "K", "values": [4, 1]},
    )
    frame = trial_frame(store.client, manifest)
    data = figure_data(study_result(frame, manifest), manifest)
    assert [point.position for point in data.ours.points] == [3.0, 0.0]
    assert [point.label for point in data.ours.points] == [
        "4\n(no result)",
        "1\n(no result)",
    ]
    assert [point.position for point in data.paper.points] == list(range(12))


@pytest.mark.parametrize("value", [None, 61.0])
def test_named_arms_are_drawn_as_rows_even_without_results(store: Store, value):
    name = f"rows_{value is None}".lower()
    manifest = make_named_manifest(name, ("$a_1$", "<b>&", "c"))
    if value is not None:
        store.trial(manifest, "$a_1$", 0, value, status="collapsed")
        store.trial(manifest, "$a_1$", 1, value)
    frame = trial_frame(store.client, manifest)
    data = figure_data(study_result(frame, manifest), manifest)
    assert not data.is_curve
    svg = draw_svg(data)
    assert "$a_1$" in svg
    assert "&lt;b&gt;&amp;" in svg
    assert draw_png(data).startswith(b"\x89PNG")
