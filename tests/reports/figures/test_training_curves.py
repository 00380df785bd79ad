"""Curves over training, and the study's own curve beside the paper's."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from reports.figures import training_curves as curves_module
from reports.figures.curve import Level, figure_data
from reports.figures.main_charts import effect_charts, unit_charts
from reports.figures.spec import to_png, to_svg
from reports.figures.training_charts import training_charts
from reports.figures.training_curves import Curve, Curves, average, read_curves
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


def curves_of(*curves: Curve) -> Curves:
    return Curves(curves, 2, 2)


def test_every_objective_has_an_axis_of_its_own_and_text_is_data():
    manifest = make_manifest("own_axes", ks=(1, 2), references=("supervised",))
    curve = Curve("K=1", "train/loss", (10, 20), (0.5, 0.4), 2, ((20, 1),))
    single = Curve("K=2", "train/loss", (20,), (0.4,), 1, ())
    other = Curve("supervised", "train/loss", (10, 20), (2.5, 1.4), 2, ())
    first, second = training_charts(curves_of(curve, single, other), manifest)
    assert second.title == "train/loss, supervised"
    assert {row["arm"] for row in second.spec["data"]["values"]} == {"supervised"}
    rows = first.spec["data"]["values"]
    assert [row["kind"] for row in rows] == ["mean", "mean", "collapse", "dot"]
    assert rows[2] | {"seed": 1, "step": 20, "x": 20} == rows[2]
    ET.fromstring(to_svg([first, second]))


def test_the_least_healthy_value_is_drawn_where_curves_come_near_it():
    manifest = make_manifest("near", ks=(1,), references=())
    health = {"min_target_std": 0.39}
    manifest = manifest.model_copy(update={"base": {"health": health}})
    curve = Curve("K=1", "target/std", (10, 20), (0.5, 0.4), 2, ())
    far = Curve("K=1", "target/std", (10, 20), (9.5, 9.4), 2, ())
    [near], [off] = (training_charts(curves_of(c), manifest) for c in (curve, far))
    assert {"kind": "threshold", "value": 0.39} in near.spec["data"]["values"]
    assert all(row["kind"] != "threshold" for row in off.spec["data"]["values"])


def test_differences_share_a_frame_and_two_seeds_have_no_interval(store: Store):
    for name, seeds in (("two_seeds", 2), ("three_seeds", 3)):
        manifest = make_manifest(name, ks=(1, 2, 4), references=(), seeds=seeds)
        for number, cell in enumerate(manifest.cells):
            store.trial(manifest, cell.arm, cell.seed, 60.0 + number**2 % 7)
        frame = trial_frame(store.client, manifest)
        [chart] = effect_charts(figure_data(study_result(frame, manifest), manifest))
        rows = chart.spec["data"]["values"]
        means = [row for row in rows if row["kind"] == "mean"]
        assert {row["who"] for row in means} == {"this study", "paper"}
        theirs = {r["name"]: r for r in means if r["who"] == "paper"}
        assert theirs["1"]["value"] == 0.0
        assert theirs["3"]["value"] == pytest.approx(84.02 - 83.01)
        assert theirs["3"]["high"] - theirs["3"]["value"] == pytest.approx(0.04)
        ours = [row for row in means if row["who"] == "this study"]
        assert sum("low" in row for row in ours) == (2 if seeds == 3 else 0)
        assert sum(row["kind"] == "seed" for row in rows) == 2 * seeds


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
    assert to_svg(unit_charts(data))


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
        "4",
        "1",
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
    svg = to_svg(unit_charts(data))
    if value is None:
        assert "no result yet" in svg
    else:
        assert "$a_1$" in svg
        assert "&lt;b&gt;&amp;" in svg
    assert to_png(unit_charts(data)).startswith(b"\x89PNG")


@pytest.mark.parametrize("baseline", ["untrained", "b"])
def test_differences_name_their_baseline_whatever_is_equal_to_it(
    store: Store, baseline: str
):
    """The baseline may be a reference, which has no row, and ties with it occur."""
    name = f"to_{baseline}"
    manifest = make_named_manifest(name, ("a", "b", "untrained"), baseline=baseline)
    arms = [
        arm.model_copy(update={"is_reference": arm.label == "untrained"})
        for arm in manifest.arms
    ]
    manifest = manifest.model_copy(update={"arms": arms})
    for label in ("a", "b", "untrained"):
        for seed in (0, 1):
            store.trial(manifest, label, seed, 60.0 + seed)
    frame = trial_frame(store.client, manifest)
    seeds, effects = effect_charts(figure_data(study_result(frame, manifest), manifest))
    assert effects.title == f"Difference to {baseline}"
    assert f"Difference to {baseline}" in to_svg([seeds, effects])
