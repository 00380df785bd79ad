"""One study in several modalities, from trials to the table."""

from __future__ import annotations

import pandas as pd
import pytest

from ablations.record import Manifest
from ablations.study.arms import Request
from reports.statistics.summary import StudyResult, study_result
from reports.tables.side_by_side import (
    NO_ARM,
    NO_RESULT,
    side_by_side,
    side_by_side_markdown,
)
from sweeps.plan.planning import make_manifest, plan_study

SEEDS = (0, 1, 2)


def result(
    modality: str,
    effects: dict[str, float | None],
    study: str = "one_recipe",
    troubled: dict[tuple[str, int], str] | None = None,
) -> StudyResult:
    """Scores 50 + seed in every arm, and the effect on top; None: not run."""
    plan = plan_study(
        study, Request(modality, "smoke", seeds=SEEDS), require_data=False
    )
    manifest = Manifest.model_validate_json(make_manifest(plan, "").model_dump_json())
    rows = []
    for cell in manifest.cells:
        effect = effects.get(cell.arm, 0.0)
        status = (troubled or {}).get((cell.arm, cell.seed), "finished")
        rows.append(
            {
                "arm": cell.arm,
                "seed": cell.seed,
                "status": "missing" if effect is None else status,
                "reason": "",
                plan.metric.logged_as: 50.0 + cell.seed + (effect or 0.0),
            }
        )
    return study_result(pd.DataFrame(rows), manifest)


def test_steps_are_rows_and_modalities_columns_positive_better():
    table = side_by_side(
        {
            "text": result("text", {"one recipe": None}),
            "speech": result("speech", {"+ shared masks": 2.0, "one recipe": -3.0}),
            "vision": result("vision", {"+ shared masks": 2.0}),
        }
    )
    assert table is not None
    assert table.head == ("arm", "vision", "speech", "text")
    none = "+0.00 ± 0.00"
    assert table.rows == (
        ("+ shared masks", "+2.00 ± 0.00", "−2.00 ± 0.00", none),
        ("+ shared target", none, none, none),
        ("+ shared optimiser", NO_ARM, none, none),
        ("one recipe", none, "+3.00 ± 0.00", NO_RESULT),
        ("untrained, raw input", NO_ARM, none, none),
    )
    assert "Difference to own recipe" in table.legend
    assert "speech: word error rate (%)" in table.legend


def test_it_is_the_same_from_whichever_modality_one_looks():
    of = {m: result(m, {}) for m in ("vision", "speech", "text")}
    assert side_by_side(of) == side_by_side(dict(reversed(of.items())))


def test_fewer_seeds_and_collapses_are_said():
    of = {
        "speech": result("speech", {}, troubled={("one recipe", 1): "missing"}),
        "text": result("text", {}, troubled={("one recipe", 2): "collapsed"}),
    }
    table = side_by_side(of)
    assert table is not None
    (row,) = [row for row in table.rows if row[0] == "one recipe"]
    assert row == (
        "one recipe",
        "+0.00 (2 of 3 seeds)",  # too few for an interval
        "+0.00 ± 0.00 (1 collapsed)",
    )


@pytest.mark.parametrize(
    "results",
    [
        {"vision": "one_recipe"},
        {"vision": "masking", "speech": "masking"},  # baselines of their own
        {"vision": "target_norm"},
    ],
)
def test_there_is_no_table_where_nothing_is_shared(results: dict[str, str]):
    found = {m: result(m, {}, study) for m, study in results.items()}
    assert side_by_side(found) is None
    assert side_by_side_markdown(side_by_side(found)) == ""


def test_markdown_is_a_section_with_numbers_to_the_right():
    of = {m: result(m, {}) for m in ("vision", "speech")}
    lines = side_by_side_markdown(side_by_side(of)).splitlines()
    assert lines[0] == "#### Modalities beside each other"
    assert lines[2] == "| arm | vision | speech |"
    assert lines[3] == "| :--- | ---: | ---: |"
    assert len([line for line in lines if line.startswith("| ")]) == 2 + 5
