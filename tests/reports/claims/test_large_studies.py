"""Large and adversarial studies: seconds, and no verdict without its evidence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ablations.record import Manifest, ManifestArm
from reports.claims.verdicts import Verdict, study_verdicts
from reports.figures.curve import figure_data
from reports.figures.main_charts import unit_charts
from reports.figures.spec import to_svg
from reports.statistics.inference import ALPHA
from reports.statistics.planning import fewest_pairs
from reports.statistics.summary import StudyResult, study_result
from reports.tables.formats import table_csv, to_markdown
from reports.tables.latex import to_latex
from reports.tables.table import build_table
from tests.reports.stores import ACCURACY, with_cells

Value = Callable[[int, int], float]
MARGIN = 1.0
TESTS: list[dict[str, Any]] = [
    {"kind": "better", "arm": "a=1", "than": "a=0"},
    {"kind": "better", "than": "a=0"},
    {"kind": "better", "arm": "a=1", "than": "a=0", "by": MARGIN},
    {"kind": "nearly_best", "arm": "a=1", "within": MARGIN},
    {"kind": "alike", "arms": ["a=0", "a=1"], "within": MARGIN},
    {"kind": "alike", "within": MARGIN},
    {"kind": "trend", "direction": "rises"},
    {"kind": "trend", "direction": "falls"},
    {"kind": "like_paper"},
]


def study(num_arms: int, seeds: int) -> Manifest:
    values = {str(i): 80.0 + 0.3 * i for i in range(num_arms)}
    arms = [
        ManifestArm(
            label=f"a={i}",
            settings={},
            is_reference=False,
            value=i,
            paper={
                "value": values[str(i)],
                "at": f"a={i}",
                "source": "digitised",
                "tolerance": 0.02,
            },
        )
        for i in range(num_arms)
    ]
    paper = {
        "metric": "m",
        "source": "digitised",
        "tolerance": 0.02,
        "higher_is_better": True,
        "values": values,
    }
    claims = [
        {"id": f"c{i}", "says": "So it is.", "test": test}
        for i, test in enumerate(TESTS)
    ]
    return with_cells(
        arms,
        seeds,
        study={
            "name": "large",
            "title": "Large",
            "baseline": "a=0",
            "axis": {"setting": "target.top_k", "label": "a", "values": [0, 1]},
            "published": {"vision": paper},
            "claims": claims,
        },
    )


def judged(
    manifest: Manifest, value: Value, status: str = "finished"
) -> tuple[StudyResult, tuple[Verdict, ...]]:
    rows = [
        {
            "arm": cell.arm,
            "seed": cell.seed,
            "status": status,
            "reason": "",
            ACCURACY: value(int(cell.arm[2:]), cell.seed),
        }
        for cell in manifest.cells
    ]
    result = study_result(pd.DataFrame(rows), manifest)
    return result, study_verdicts(result, manifest)


@pytest.mark.parametrize(
    ("num_arms", "seeds"),
    [(4, 1_000), pytest.param(200, 6, marks=pytest.mark.thorough)],
)
def test_a_large_study_takes_seconds(num_arms: int, seeds: int):
    generator = np.random.default_rng(0)
    manifest = study(num_arms, seeds)
    start = time.process_time()
    result, verdicts = judged(
        manifest, lambda arm, seed: 50.0 + 0.01 * arm + generator.normal()
    )
    table = build_table(result, manifest)
    texts = [to_markdown(table), to_latex(table), table_csv(result, manifest)]
    texts.append(to_svg(unit_charts(figure_data(result, manifest))))
    assert time.process_time() - start < 25.0  # about 8; it was minutes
    assert len(verdicts) == len(TESTS)
    assert all(f"a={num_arms - 1}" in text for text in texts[:3])


def seeded(kind: int) -> Value:
    """Scores on a grid with ties, or with missing and infinite ones among them."""
    generator = np.random.default_rng(kind)
    step = generator.choice([1e-12, 0.28, 1.0])
    effect = generator.choice([0.0, 0.1, 1.0, 2.0])
    spread = generator.choice([0.0, 0.3, 2.0])
    holes = generator.choice([0.0, 0.2])

    def value(arm: int, seed: int) -> float:
        own = np.random.default_rng([kind, arm, seed])
        if own.random() < holes:
            return float(own.choice([math.nan, math.inf, 1e308]))
        score = 50.0 + effect * arm + seed % 3 + own.normal(0.0, spread)
        return float(np.round(score / step) * step)

    return value


CASES: dict[str, Value] = {
    "all equal": lambda arm, seed: 50.0,
    "no spread in an arm": lambda arm, seed: 50.0 + arm,
    "no spread in differences": lambda arm, seed: 50.0 + arm + seed,
    "spread by rounding alone": lambda arm, seed: 0.1 * seed + 0.3 * arm,
    "on the margin": lambda arm, seed: 50.0 + MARGIN * arm,
    "inside the margin": lambda arm, seed: 50.0 + 0.5 * (arm == 1),
    "one unit in the last place": lambda arm, seed: 50.0 + arm * 7.2e-15,
    "ties": lambda arm, seed: [50.0, 50.0, 51.0, 51.0][arm] + seed % 2,
    "huge": lambda arm, seed: 1e308 * (-1) ** (arm + seed),
    "denormal": lambda arm, seed: 5e-324 * (arm + seed),
    "an outlier": lambda arm, seed: 50.0 + arm + 1e6 * (arm == 1 and seed == 0),
    **{f"seeded {kind}": seeded(kind) for kind in range(12)},
}


def fewest(test: dict[str, Any]) -> int:
    """Seeds from which a rule can decide at all."""
    if test["kind"] in ("trend", "like_paper"):
        return 2  # 4 arms have 24 orders
    return fewest_pairs(sides=1 if test["kind"] == "alike" else 2)


def check(verdict: Verdict, test: dict[str, Any]) -> None:
    numbers = (verdict.effect, verdict.low, verdict.high, verdict.p)
    assert all(math.isfinite(x) for x in numbers if x is not None), verdict
    if verdict.verdict == "undecided":
        return
    assert verdict.p is not None, verdict
    assert verdict.p < ALPHA, verdict
    assert verdict.n >= fewest(test), verdict
    supported = verdict.verdict == "supported"
    if test["kind"] == "alike":
        inside = verdict.low > -MARGIN and verdict.high < MARGIN
        outside = verdict.low > MARGIN or verdict.high < -MARGIN
        assert inside if supported else outside, verdict
        return
    border = test.get("by", 0.0) - test.get("within", 0.0)
    assert verdict.low > border if supported else verdict.high < border, verdict


@pytest.mark.parametrize("seeds", [1, 2, 5, 7, 21])
@pytest.mark.parametrize("name", CASES)
def test_a_decision_has_its_evidence_whatever_the_scores(name: str, seeds: int):
    _, verdicts = judged(study(4, seeds), CASES[name])
    for verdict, test in zip(verdicts, TESTS, strict=True):
        check(verdict, test)
