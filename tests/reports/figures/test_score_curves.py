"""The score over training, from a store that holds probes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ablations.record import Manifest
from reports.build import build_report
from reports.figures import score_curves
from reports.figures.score_curves import (
    ScoreCurve,
    ScoreFigure,
    ScorePoint,
    read_score_figures,
)
from reports.figures.spec import to_svg
from reports.figures.training_charts import score_charts
from reports.store.frames import trial_frame
from tests.reports.stores import Store, make_manifest

PROBE, FINAL = "probe/linear_validation_accuracy", "eval/linear_validation_accuracy"


def planned(name: str, num_steps: Any = 40, **study: Any) -> Manifest:
    """A quarter of the training is a point of a curve of the store."""
    manifest = make_manifest(name, ks=(1, 2), seeds=2, **study)
    base = {**manifest.base, "training": {"num_steps": num_steps}}
    return manifest.model_copy(update={"base": base})


def value(arm: str, seed: int, quarter: int) -> float:
    return 50.0 + 10.0 * (arm == "K=2") + seed + 2.0 * quarter


def fill(
    store: Store, manifest: Manifest, statuses: Mapping[tuple[str, int], str]
) -> None:
    """Own arms were probed at every quarter, the others have a final number alone."""
    store.study(manifest)
    for cell in manifest.cells:
        arm, seed = cell.arm, cell.seed
        probes = [value(arm, seed, quarter) for quarter in (1, 2, 3)]
        store.trial(
            manifest,
            arm,
            seed,
            60.0,
            status=statuses.get((arm, seed), "finished"),
            curves={PROBE: probes} if arm.startswith("K") else {},
            metrics={FINAL: value(arm, seed, 4)},
        )


@pytest.fixture(scope="module")
def probed(store: Store) -> Manifest:
    manifest = planned("probed")
    fill(store, manifest, {("K=2", 1): "collapsed"})
    return manifest


def figures(store: Store, manifest: Manifest) -> tuple[ScoreFigure, ...]:
    frame = trial_frame(store.client, manifest)
    return read_score_figures(store.client, frame, manifest)


def test_curves_are_means_of_the_probes_and_end_with_the_final_number(store, probed):
    [figure] = figures(store, probed)
    assert figure.title == "linear probe accuracy (%), validation split"
    assert [curve.arm for curve in figure.curves] == ["K=1", "K=2"]
    one, two = figure.curves
    assert one.means == {0.25: 52.5, 0.5: 54.5, 0.75: 56.5, 1.0: 58.5}
    assert (one.num_seeds, one.points[0]) == (2, ScorePoint(0.25, 52.0, 0))
    # A collapsed trial ended nobody knows where: its last number is no whole training.
    assert two.means == {0.25: 62.5, 0.5: 64.5, 0.75: 66.5, 1.0: 68.0}
    assert (figure.seeds_shown, figure.seeds_probed) == (2, 2)


def test_a_large_study_shows_its_first_seeds(store, probed, monkeypatch):
    monkeypatch.setattr(score_curves, "MAX_HISTORIES", 2)
    [figure] = figures(store, probed)
    assert (figure.seeds_shown, figure.seeds_probed) == (1, 2)
    assert {curve.num_seeds for curve in figure.curves} == {1}


def test_an_arm_that_trains_longer_has_its_own_shares(store):
    manifest = planned("longer")
    arms = [
        arm.model_copy(update={"settings": {"training.num_steps": 80}})
        if arm.label == "K=2"
        else arm
        for arm in manifest.arms
    ]
    manifest = manifest.model_copy(update={"arms": arms})
    fill(store, manifest, {})
    [figure] = figures(store, manifest)
    shares = [list(curve.means) for curve in figure.curves]
    assert shares == [[0.25, 0.5, 0.75, 1.0], [0.125, 0.25, 0.375, 1.0]]


def test_where_the_metric_is_not_probed_the_others_are_drawn(store):
    knn = {"metric": {"vision": "knn_accuracy"}}
    manifest = planned("others", references=(), **knn)
    fill(store, manifest, {})
    [figure] = figures(store, manifest)
    assert figure.title == "linear validation accuracy"


@pytest.mark.parametrize("num_steps", [None, "many", 0, True])
def test_a_plan_that_does_not_say_how_long_has_no_shares(store, num_steps):
    manifest = planned(f"steps_{num_steps}".lower(), num_steps, references=())
    fill(store, manifest, {})
    assert figures(store, manifest) == ()


def test_without_probes_there_is_no_figure(store, tmp_path: Path):
    manifest = planned("not_probed", references=())
    store.study(manifest)
    for cell in manifest.cells:
        store.trial(manifest, cell.arm, cell.seed, 60.0, metrics={FINAL: 61.0})
    assert figures(store, manifest) == ()
    assert "Score over training" not in page(store, "not_probed", tmp_path)


def page(store: Store, name: str, folder: Path) -> str:
    report = build_report(
        tracking_uri=store.uri,
        study=name,
        modality="vision",
        scale="laptop",
        folder=folder,
        attach=False,
    )
    return report.files["report.html"].read_text(encoding="utf-8")


def test_the_page_shows_it(store, probed, tmp_path: Path):
    text = page(store, "probed", tmp_path)
    section = text[text.index("<h3>Score over training") :]
    assert "linear probe accuracy (%), validation split</p>" in section
    assert '"score-0":{' in section
    assert "Large dots: means over all seeds that were probed" in section
    [element] = re.findall(r'id="chart-data">(.*?)</script>', text, re.DOTALL)
    rows = json.loads(element)["charts"]["score-0"]["data"]["values"]
    assert {row["arm"] for row in rows} == {"K=1", "K=2"}  # references: not probed
    place = {"arm": "K=2", "seed": 1, "kind": "seed", "x": 0.75, "value": 67.0}
    assert any(place.items() <= row.items() for row in rows)


def test_drawings_are_well_formed_and_their_text_is_text():
    name = "<script>alert(1)</script> & co"
    points = (ScorePoint(0.5, 60.0, 0), ScorePoint(0.5, 62.0, 1))
    curve = ScoreCurve(name, (*points, ScorePoint(1.0, 63.0, 0)))
    manifest = make_manifest("drawn", ks=(1,), references=())
    arm = manifest.arms[0].model_copy(update={"label": name})
    manifest = manifest.model_copy(update={"arms": [arm]})
    [chart] = score_charts([ScoreFigure("score", (curve,), 2, 2)], manifest)
    rows = chart.spec["data"]["values"]
    means = {row["x"]: row["value"] for row in rows if row["kind"] == "mean"}
    assert means == {0.5: 61.0, 1.0: 63.0}
    assert sum(row["kind"] == "seed" for row in rows) == 3
    ET.fromstring(to_svg([chart]))
