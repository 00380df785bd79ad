from __future__ import annotations

import pandas as pd
import pytest

from ablations.record import Manifest
from reports.claims.verdicts import study_verdicts
from reports.statistics.summary import SeedResult, StudyResult, study_result
from reports.store.frames import trial_frame
from reports.tables.caption import summary
from reports.tables.formats import to_markdown
from reports.tables.paper import paper_numbers
from reports.tables.table import Table, build_table
from reports.tables.wording import trouble
from reports.text import for_markdown
from tests.reports.stores import Store, make_manifest, make_named_manifest


def note(table: Table, mark: str) -> str:
    return next(note.text for note in table.notes if note.mark == mark)


def test_seeds_are_counted_in_every_row(table: Table):
    counts = [table.cell(row.label, "n").text for row in table.rows]
    assert counts == [
        "2/2",
        "1/2",
        "0/2",
        "2/2, 1 collapsed",
        "2/2",
        "0/2",
    ]


def test_every_gap_has_its_reason_in_a_note(table: Table):
    reasons = {
        label: [note(table, mark) for mark in table.cell(label, "n").marks]
        for label in ("K=1", "K=2", "K=3", "K=4", "supervised")
    }
    assert reasons == {
        "K=1": [],
        "K=2": ["seed 1 not run yet"],
        "K=3": ["seeds 0, 1 failed: loss is nan"],
        "K=4": ["seed 1 collapsed: std 0.001 (its value counts)"],
        "supervised": ["seeds 0, 1 not run yet"],
    }


def test_values_intervals_and_their_absence(table: Table):
    assert table.cell("K=1", "value").text == "60.50"
    assert note(table, table.cell("K=1", "value").marks[0]) == "two seeds: no interval"
    assert table.cell("K=2", "value").text == "62.00"
    assert note(table, table.cell("K=2", "value").marks[0]) == "one seed: no interval"
    assert table.cell("K=3", "value").text == "failed"
    assert table.cell("supervised", "value").text == "missing"
    assert table.cell("K=4", "value").value == pytest.approx(40.5)


def test_differences_are_signed_and_paired(table: Table):
    assert table.cell("K=1", "difference").text == "–"
    change = table.cell("K=2", "difference")
    assert (change.text, change.value) == ("+2.00", 2.0)
    assert note(table, change.marks[0]) == "one common seed: no interval"
    assert table.cell("untrained", "difference").text == "−20.00"
    assert table.cell("K=1", "gain").text == "+20.00"
    assert table.cell("untrained", "gain").text == "–"


def test_fewer_pairs_than_seeds_is_said(store: Store):
    manifest = make_manifest("pairs", ks=(1, 2), references=(), seeds=3)
    for cell in manifest.cells:
        if (cell.arm, cell.seed) != ("K=1", 2):
            store.trial(manifest, cell.arm, cell.seed, 50.0 + cell.seed)
    frame = trial_frame(store.client, manifest)
    table = build_table(study_result(frame, manifest), manifest)
    marks = table.cell("K=2", "difference").marks
    assert [note(table, mark) for mark in marks] == ["two common seeds: no interval"]


def test_the_papers_numbers_carry_mark_arm_and_tolerance(table: Table):
    cell = table.cell("K=3", "paper")
    assert cell.marked_text == "83.64 ± 0.02 ᵈ"
    assert (cell.value, cell.half_width) == (83.64, 0.02)
    assert table.cell("K=3", "paper_arm").text == "K=9"
    assert table.cell("untrained", "paper").text == "–"
    assert note(table, "d") == (
        "digitised from Figure 2 of arXiv 2202.03555v3, reading error ±0.02"
    )


def test_read_numbers_keep_their_precision_and_have_no_tolerance(store: Store):
    # Table 5 of the paper (speech), used here for its form only.
    values = {"self-attention": 100.0, "FFN": 13.1}
    manifest = make_named_manifest(
        "read",
        ("self-attention", "FFN", "other"),
        paper={"arxiv": "2202.03555v3", "where": "Table 5"},
        published={
            "vision": {
                "metric": "word error rate (%)",
                "source": "read",
                "tolerance": None,
                "higher_is_better": False,
                "values": values,
            }
        },
    )
    arms = [
        arm.model_copy(
            update={
                "paper": {
                    "value": values[arm.label],
                    "at": arm.label,
                    "source": "read",
                    "tolerance": None,
                }
            }
        )
        for arm in manifest.arms[:2]
    ]
    manifest = manifest.model_copy(update={"arms": [*arms, manifest.arms[2]]})
    result = study_result(trial_frame(store.client, manifest), manifest)
    table = build_table(result, manifest)
    texts = [table.cell(row.label, "paper").marked_text for row in table.rows]
    assert texts == ["100.0 ʳ", "13.1 ʳ", "not reported"]
    assert note(table, "r") == "read from Table 5 of arXiv 2202.03555v3"
    assert "The paper's lowest value is 13.1 at FFN" in summary(
        result, manifest, paper_numbers(manifest)
    )


def test_without_published_numbers_arms_are_not_reported(store: Store):
    manifest = make_manifest("unpublished", ks=(1,), published=False)
    frame = trial_frame(store.client, manifest)
    table = build_table(study_result(frame, manifest), manifest)
    assert table.cell("K=1", "paper").text == "not reported"
    assert table.cell("untrained", "paper").text == "–"
    own = make_manifest("own", ks=(1,), published=False, paper=None)
    table = build_table(study_result(frame.assign(arm="K=1"), own), own)
    assert "paper" not in [column.key for column in table.columns]


def test_caption_says_n_interval_what_varied_and_what_not_to_compare(table: Table):
    for part in (
        "95 % Student-t intervals of the mean",
        "n = 0 to 2 seeds",
        "initial weights, data order, masks, augmentation and the labelled subset",
        "paired across arms",
        "Collapsed trials count",
        "never levels",
    ):
        assert part in f"{table.caption} {table.methods}"
    assert table.caption.count(". ") == 1


def test_summary_is_computed_from_the_numbers(troubled, result: StudyResult):
    text = summary(result, troubled[0], paper_numbers(troubled[0]))
    assert text.startswith(
        "Of 12 trials: 6 finished, 1 collapsed, 2 failed, 3 missing. The highest mean "
        "linear probe accuracy (%) is 62.00 at K=2 (1 seed). The paired differences to "
        "K=1 run from "
    )
    assert text.endswith(
        "The paper's highest value is 84.02 ± 0.02 at its K=3, digitised from Figure 2 "
        "of arXiv 2202.03555v3. Of the matched arms both have their best at K=2; the "
        "paper's best of all, its K=3, is not among them. Left out of this: K=3 has no "
        "result (failed); K=4 collapsed in 1 of 2 seeds."
    )


def made_up(manifest: Manifest, arms: dict[str, list[float | str]]) -> StudyResult:
    """Arms by seed; text is a status, ``collapsed`` with the value 99 all the same."""
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "status": cell if isinstance(cell, str) else "finished",
            "reason": "",
            "eval/linear_accuracy": 99.0 if isinstance(cell, str) else cell,
        }
        for arm, cells in arms.items()
        for seed, cell in enumerate(cells)
    ]
    return study_result(pd.DataFrame(rows), manifest)


IN_ORDER = {
    "K=1": [60.0, 60.1, 60.2],
    "K=2": [63.0, 63.2, 63.1],
    "K=3": [61.0, 61.1, 61.3],
    "K=4": [62.0, 62.3, 62.1],
}


def test_the_agreement_with_the_paper_stands_under_the_table():
    claim = {"id": "ranks", "says": "So it is.", "test": {"kind": "like_paper"}}
    manifest = make_manifest("agreement", references=(), seeds=3, claims=[claim])
    result = made_up(manifest, IN_ORDER)
    sentences = (
        "Kendall's tau-b between our order and the paper's of the matched arms is "
        "+0.91 (95 % interval [+0.91, +0.91] over resampled seeds; 4 arms, 3 common "
        "seeds; the paper's values up to 0.04 apart are tied). Of the matched arms "
        "both have their best at K=2; the paper's best of all, its K=3, is not among "
        "them."
    )
    table = build_table(result, manifest)
    assert for_markdown(sentences) in to_markdown(table)
    assert summary(result, manifest, paper_numbers(manifest)).endswith(sentences)
    [verdict] = study_verdicts(result, manifest)
    assert (verdict.effect, verdict.low) == pytest.approx((5 / 30**0.5, 5 / 30**0.5))


def test_a_study_has_a_sentence_of_its_own_in_the_caption():
    manifest = make_manifest("tuned", references=(), seeds=3)
    own = {f"vision-{manifest.scale}": "Rates are tuned.", "vision-paper": "No"}
    manifest.study["caption"] = own
    caption = build_table(made_up(manifest, IN_ORDER), manifest).caption
    assert caption.endswith(" seeds. Rates are tuned.")


def test_dead_arms_are_no_part_of_the_agreement():
    manifest = make_manifest("dead", references=(), seeds=3)
    arms = {**IN_ORDER, "K=1": [60.0, "collapsed", "collapsed"]}
    caption = build_table(made_up(manifest, arms), manifest).methods
    assert "is +0.82 (95 % interval [+0.82, +0.82]" in caption  # 2 of 3 pairs, 1 tied
    assert "; 3 arms, 3 common seeds; " in caption
    assert caption.endswith("Left out of this: K=1 collapsed in 2 of 3 seeds.")
    arms["K=2"] = ["diverged"] * 3
    caption = build_table(made_up(manifest, arms), manifest).methods
    assert "Kendall" not in caption  # two arms have two orders
    assert "Of the matched arms both have their best at K=4" in caption


def own_study(values: dict[int, float], tolerance: float | None = None) -> Manifest:
    """Published values of one's own beside K=1..4, one for each."""
    manifest = make_manifest("own_values", references=(), seeds=3)
    read = {"source": "read", "tolerance": tolerance}
    published = {
        **manifest.study["published"]["vision"],
        **read,
        "values": {str(k): value for k, value in values.items()},
    }
    arms = [
        arm.model_copy(update={"paper": {"value": value, "at": arm.label, **read}})
        for arm, value in zip(manifest.arms, values.values(), strict=True)
    ]
    study = {**manifest.study, "published": {"vision": published}}
    return manifest.model_copy(update={"study": study, "arms": arms})


def test_where_all_points_stand_beside_our_arms_nothing_is_called_matched():
    manifest = own_study({1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0})
    caption = build_table(made_up(manifest, IN_ORDER), manifest).methods
    assert "matched" not in caption
    assert caption.endswith(
        "The paper's best of these arms, K=4, is 1 place below the top here; the "
        "paired difference to K=2 is clear of 0."
    )
    may = "Metric, data or scale may differ: compare order and direction, never levels"
    assert may in caption  # true of the same metric, too
    tied = own_study({1: 1.0, 2: 3.9, 3: 3.0, 4: 4.0}, tolerance=0.05)
    caption = build_table(made_up(tied, IN_ORDER), tied).methods
    assert caption.endswith("Of these arms both have their best at K=2.")


def test_a_place_with_parentheses_is_not_put_into_others():
    paper = {"arxiv": "2202.03555v3", "where": "section 6 (no numbers)"}
    manifest = make_manifest("place", references=(), seeds=3, paper=paper)
    result = made_up(manifest, IN_ORDER)
    place = "section 6 (no numbers) of arXiv 2202.03555v3"
    assert build_table(result, manifest).caption.startswith(
        f"Averaging the top K teacher layers, {place}. Vision, "
    )
    text = summary(result, manifest, paper_numbers(manifest))
    assert f"at its K=3, digitised from {place}. " in text


def test_troubles_are_told_in_the_order_of_seeds():
    reasons = ["std 0.3", "std 0.2", "std 0.3", "std 0.1"]
    seeds = [SeedResult(i, "failed", why, None) for i, why in enumerate(reasons)]
    assert trouble(reversed(seeds)) == (
        "seeds 0, 2 failed: std 0.3; seed 1 failed: std 0.2; seed 3 failed: std 0.1"
    )
