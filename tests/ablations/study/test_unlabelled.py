"""Without labels a study is counted by RankMe and judges no claim on a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.identity import trial_key
from ablations.library import read_space
from ablations.search.bound_space import bind
from ablations.study.arms import ExpandedStudy, Request, expand_named
from d2v_core.errors import ConfigError


def expanded(study: str, *assignments: str) -> ExpandedStudy:
    return expand_named(study, Request("vision", "smoke", assignments=assignments))


def test_the_metric_becomes_rankme_and_the_plan_says_so(tmp_path: Path) -> None:
    result = expanded("layer_averaging", f"data.folder={tmp_path}")
    metric = result.study.metric_for("vision")
    assert metric.logged_as == "eval/rankme"
    assert "no labels" in metric.title
    assert result.study.claims == ()
    assert "supervised" not in [arm.label for arm in result.arms]
    assert result.study.published["vision"].values
    assert result.note.startswith("data.source images has no labels: the table shows")


def test_a_labelled_set_to_probe_on_keeps_metric_and_claims(tmp_path: Path) -> None:
    probed = "evaluation.data={source: digits}"
    result = expanded("layer_averaging", f"data.folder={tmp_path}", probed)
    assert result.study.metric_for("vision").name == "linear_accuracy"
    assert result.study.claims
    assert result.note.endswith("the supervised arm is left out")


def test_claims_on_collapse_need_no_labels(tmp_path: Path) -> None:
    labelled = expanded("collapse")
    result = expanded("collapse", f"data.folder={tmp_path}")
    assert labelled.note == ""
    assert {claim.test.kind for claim in result.study.claims} <= {"collapses"}


def test_where_the_photos_lie_is_not_in_the_key(tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = expanded("layer_averaging", f"data.folder={tmp_path / name}")
        keys.add(trial_key(result.cells[0].trial, "0" * 16))
    assert len(keys) == 1


def test_a_search_without_labels_is_refused(tmp_path: Path) -> None:
    request = Request("vision", "smoke", assignments=(f"data.folder={tmp_path}",))
    with pytest.raises(ConfigError, match="a search needs labels to select by"):
        bind(read_space("tau_mask_k"), request)


def test_text_without_tasks_is_counted_by_rankme(tmp_path: Path) -> None:
    typed = (f"data.folder={tmp_path}", "evaluation.tasks=[]")
    result = expand_named("layer_averaging", Request("text", "smoke", typed))
    assert result.study.metric_for("text").logged_as == "eval/rankme"
    assert result.note.startswith("there are no evaluation.tasks: the table shows")
