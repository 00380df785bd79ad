"""The sentence and table of the noise: their arithmetic, in every format."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablations.record import Manifest
from reports.build import Report, build_report
from reports.statistics.noise import Noise, Unknown
from reports.statistics.study_noise import NoiseRow, StudyNoise
from reports.tables.noise_table import (
    COLUMNS,
    DASH,
    HEAD,
    LEGEND,
    TITLE,
    noise_cells,
    noise_csv,
    noise_markdown,
    noise_sentence,
)
from tests.reports.statistics.test_noise import ACCURACY, noise_in, result_of
from tests.reports.stores import Store, make_manifest

Draw = Callable[[str, int], list[float]]
SCORES = {
    "K=1": {0: [50.0, 52.0], 1: [55.0, 55.0], 2: [51.0, 54.0]},
    "K=3": {0: [53.0, 54.0], 1: [56.0, 59.0], 2: [57.0, 58.0]},
}


def test_the_sentence_is_what_the_draws_say():
    """Every number again, from the differences draw by draw."""
    noise = noise_in(result_of(SCORES, baseline="K=1"))
    differences = np.subtract(
        list(SCORES["K=3"].values()), list(SCORES["K=1"].values())
    )
    draw = differences.var(axis=1, ddof=1).mean()
    mean = differences.mean(axis=1).var(ddof=1)
    seed = max(0.0, mean - draw / 2)
    share = draw / 2 / (seed + draw / 2)
    ratio = mean / (draw / 2)
    low, high = (min(1.0, stats.f.ppf(q, 2, 3) / ratio) for q in (0.025, 0.975))

    def half(n: int, num_draws: int) -> float:
        spread = math.sqrt(seed + draw / num_draws)
        return float(stats.t.ppf(0.975, n - 1)) * spread / math.sqrt(n)

    shorter = 1.0 - half(3, 10) / half(3, 2)
    assert half(2, 10) > half(3, 2)
    assert noise_sentence(noise, ACCURACY) == (
        "Noise of linear probe accuracy (%), K=3 − K=1: "
        f"label draws {math.sqrt(draw):.2f} points "
        f"(2 draws: {math.sqrt(draw / 2):.2f} of the score), "
        f"seeds {math.sqrt(seed):.2f}; "
        f"draws cause {100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f}) "
        "of the interval's variance; "
        f"10 draws instead of 2 make it {100 * shorter:.0f} % shorter, "
        "less than a seed is worth."
    )


def several(noise: Noise | Unknown) -> StudyNoise:
    row = NoiseRow("", "K=1", noise, 0)
    return StudyNoise((), (), NoiseRow("", "", noise, 0), row)


def test_seeds_saved_are_counted():
    sentence = noise_sentence(
        several(Noise(12, 10, 10, 0.1, 9.0, 1.9, 33, 324, num_pooled=3)), ACCURACY
    )
    assert sentence == (
        "Noise of linear probe accuracy (%), 3 differences to K=1, pooled: label draws "
        "3.00 points (10 draws: 0.95 of the score), seeds 1.00; draws cause 47 % of "
        "the interval's variance; 30 draws instead of 10: 10 seeds do what 12 do."
    )


@pytest.mark.parametrize(
    ("noise", "end"),
    [
        (
            Noise(3, 60, 100, 0.01, 4.0, 2.0, 2, 200),
            "more seeds alone would shrink it (60 to 100 draws are the most).",
        ),
        (Noise(3, 5, 5, 0.2, 0.0, 0.0, 2, 12), "seeds 0.00; nothing varies."),
        (
            Unknown("one label draw"),
            "all differences to K=1: unknown (one label draw). "
            "evaluation.num_label_draws=10 would show it and trains nothing.",
        ),
        (Unknown("one seed"), "all differences to K=1: unknown (one seed)."),
    ],
)
def test_what_cannot_be_said_is_said_so(noise, end):
    assert noise_sentence(several(noise), ACCURACY).endswith(end)
    for cells in noise_cells(several(noise)):
        assert len(cells) == len(HEAD)
        assert "nan" not in " ".join(cells)


def test_without_draws_nothing_is_said():
    assert noise_sentence(None, ACCURACY) == ""
    assert noise_markdown(None, ACCURACY) == ""
    assert noise_csv(None) == ",".join(COLUMNS) + "\n"


# In a report, from a store.


def fill(store: Store, manifest: Manifest, draw: Draw) -> None:
    store.study(manifest)
    for cell in manifest.cells:
        draws = draw(cell.arm, cell.seed)
        value = float(np.mean(draws)) if draws else 60.0 + cell.seed
        store.trial(manifest, cell.arm, cell.seed, value, draws=draws)


def build(store: Store, name: str, folder: Path) -> Report:
    return build_report(
        tracking_uri=store.uri,
        study=name,
        modality="vision",
        scale="laptop",
        folder=folder,
        attach=False,
    )


def text_of(report: Report, name: str) -> str:
    return report.files[name].read_text(encoding="utf-8")


def random_draws(arm: str, seed: int) -> list[float]:
    """Ten draws of K=3 and K=1; K=2 has a seed less, the last arm one draw."""
    generator = np.random.default_rng([ord(arm[-1]), seed])
    number = 1 if arm == "untrained" else 0 if (arm, seed) == ("K=2", 0) else 10
    centre = 60.0 + 3.0 * generator.standard_normal()
    return (centre + 3.0 * generator.standard_normal(number)).round(3).tolist()


@pytest.fixture(scope="module")
def report(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Report:
    manifest = make_manifest("noisy", ks=(1, 2, 3), seeds=8, references=("untrained",))
    fill(store, manifest, random_draws)
    return build(store, "noisy", tmp_path_factory.mktemp("noisy"))


def test_every_format_has_it(report: Report):
    assert report.noise.startswith(
        "Noise of linear probe accuracy (%), 2 differences to K=1, pooled: label draws "
    )
    page, table = text_of(report, "report.html"), text_of(report, "table.md")
    assert f"<h2>{TITLE}</h2>" in page
    shown = page.replace("\N{NO-BREAK SPACE}", " ")
    assert report.noise.replace("'", "&#39;") in shown
    assert f"#### {TITLE}\n\n{report.noise}" in table
    assert LEGEND in table
    for name in ("K=3 − K=1", "2 differences to K=1, pooled", "3 scores, pooled"):
        assert f"| {name} |" in table
        assert f'<th scope="row">{name}</th>' in page


def test_the_csv_has_every_score_and_difference(report: Report):
    frame = pd.read_csv(io.StringIO(text_of(report, "noise.csv")))
    assert list(frame.columns) == list(COLUMNS)
    rows = frame.fillna({"arm": "", "other": ""}).set_index(["arm", "other"])
    assert list(rows.index) == [
        *[("", "K=1"), ("", "")],
        *[("K=2", "K=1"), ("K=3", "K=1"), ("untrained", "K=1")],
        *[("K=1", ""), ("K=2", ""), ("K=3", ""), ("untrained", "")],
    ]
    draws = np.subtract(
        [random_draws("K=3", seed) for seed in range(8)],
        [random_draws("K=1", seed) for seed in range(8)],
    )
    row = rows.loc[("K=3", "K=1")]
    assert row["one_draw_sd"] ** 2 == pytest.approx(draws.var(axis=1, ddof=1).mean())
    assert rows.loc[("K=2", "K=1"), "num_left_out"] == 1
    assert rows.loc[("K=2", "K=1"), "num_seeds"] == 7
    assert rows.loc[("untrained", "K=1"), "num_left_out"] == 8
    assert rows.loc[("untrained", "K=1"), "unknown"] == "no label draws"
    assert rows.loc[("untrained", ""), "unknown"] == "one label draw"


def test_the_number_behind_the_interval_is_the_tables(report: Report):
    frame = pd.read_csv(io.StringIO(text_of(report, "noise.csv")))
    table = pd.read_csv(io.StringIO(text_of(report, "table.csv"))).set_index("arm")
    [row] = frame[(frame["arm"] == "K=3") & (frame["other"] == "K=1")].to_dict(
        "records"
    )
    low, high = table.loc["K=3", ["difference_low", "difference_high"]]
    assert row["half_width"] == pytest.approx((high - low) / 2, abs=1e-3)
    variance = row["seeds_sd"] ** 2 + row["mean_of_draws_sd"] ** 2
    half = stats.t.ppf(0.975, 7) * math.sqrt(variance / 8)
    assert row["seeds_sd"] > 0.0
    assert row["half_width"] == pytest.approx(half)


@pytest.mark.parametrize(
    ("name", "draw", "says"),
    [
        ("old_store", lambda arm, seed: [], ""),
        ("one_draw", lambda arm, seed: [50.0 + seed], "unknown (one label draw)"),
        ("not_finite", lambda arm, seed: [50.0, math.nan, 1e300], ""),
    ],
)
def test_a_store_that_does_not_tell(store: Store, tmp_path, name, draw, says):
    fill(store, make_manifest(name, ks=(1, 2), references=()), draw)
    report = build(store, name, tmp_path)
    assert (says in report.noise) if says else report.noise == ""
    assert (TITLE in text_of(report, "report.html")) == bool(says)
    assert (TITLE in text_of(report, "table.md")) == bool(says)
    assert DASH in text_of(report, "report.html")
