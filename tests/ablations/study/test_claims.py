"""Claims are made only about arms that exist, wherever they are made."""

from __future__ import annotations

from typing import Any

import pytest

from ablations.study.claims import Better, Claim
from tests.ablations.written import K_AXIS, TWO_METRICS, refused, study

PUBLISHED = {
    "metric": "accuracy (%)",
    "source": "read",
    "higher_is_better": True,
    "values": {"two": 1.0, "three": 2.0},
}


def claim(**test: Any) -> dict[str, Any]:
    return {"id": "a-claim", "says": "something", "test": test}


def about(*tests: dict[str, Any], **fields: Any) -> list[str]:
    return refused(claims=[claim(**test) for test in tests], **fields)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            {"kind": "better", "arm": "tow", "than": "three"},
            "claims.0.test.arm: must be one of three, two, got 'tow'; did you mean "
            "'two'?",
        ),
        (
            {"kind": "better", "than": "untrained"},
            "claims.0.test.than: must be one of three, two, got 'untrained'",
        ),
        (
            {"kind": "better", "arm": "two", "than": "two"},
            "claims.0.test.than: must be another arm than arm, got 'two'",
        ),
        (
            {"kind": "nearly_best", "arm": "K=1", "within": 1.0},
            "claims.0.test.arm: must be one of three, two, got 'K=1'",
        ),
        (
            {"kind": "alike", "arms": ["two"], "within": 1.0},
            "claims.0.test.arms: must be at least two different, got ['two']",
        ),
        (
            {"kind": "trend", "arms": ["two", "tree"]},
            "claims.0.test.arms.1: must be one of three, two, got 'tree'; did you mean "
            "'three'?",
        ),
        (
            {"kind": "collapses", "arm": "four"},
            "claims.0.test.arm: must be one of three, two, got 'four'",
        ),
        (
            {"kind": "like_paper"},
            "claims.0.test.kind: like_paper needs 3 published numbers, vision has 0; "
            "give them, or name the modalities of the claim",
        ),
        (
            {"kind": "beter", "than": "two"},
            "claims.0.test.kind: must be one of alike, better, collapses, like_paper, "
            "nearly_best, trend, got 'beter'; did you mean 'better'?",
        ),
        (
            {"kind": "nearly_best", "arm": "two"},
            "claims.0.test.within: is required and was not given",
        ),
    ],
)
def test_a_mistake_is_one_sentence(test: dict[str, Any], message: str) -> None:
    assert about(test) == [message]


def test_two_published_numbers_have_no_rank_correlation() -> None:
    [line] = about({"kind": "like_paper"}, published={"vision": PUBLISHED})
    assert "like_paper needs 3 published numbers, vision has 2" in line


def test_ids_are_unique() -> None:
    test = {"kind": "better", "than": "two"}
    assert about(test, test) == ["claims.1.id: must be unique, 'a-claim' stands twice"]


def test_modalities_are_the_studys() -> None:
    wrong = {**claim(kind="better", than="two"), "modalities": ["text"]}
    [line] = refused(claims=[wrong])
    assert line == "claims.0.modalities.0: must be one of vision, got 'text'"


def test_an_arm_must_exist_in_every_modality_of_the_claim() -> None:
    arms = [{"name": "a"}, {"name": "b", "only": ["text"]}]
    made = claim(kind="better", arm="b", than="a")
    fields = {"metric": TWO_METRICS, "arms": arms}
    assert refused(claims=[made], **fields) == [
        "claims.0.test.arm: must be one of a, got 'b' (arms for vision)"
    ]
    study(claims=[{**made, "modalities": ["text"]}], **fields)


def test_reference_arms_can_be_claimed_about() -> None:
    test = {"kind": "better", "arm": "two", "than": "untrained"}
    made = study(reference_arms=["untrained"], claims=[claim(**test)])
    assert made.claims[0].arms_named() == [
        ("test.arm", "two"),
        ("test.than", "untrained"),
    ]


@pytest.mark.parametrize("arm", ["K=1", "K=7", "K=all"])
def test_on_fractions_of_the_depth_any_number_of_layers_can_be_named(arm: str) -> None:
    study(axis=K_AXIS, claims=[claim(kind="nearly_best", arm=arm, within=1.0)])


@pytest.mark.parametrize("arm", ["K=0", "K=", "K=al", "k=1", "K=1/4"])
def test_other_names_are_refused_there(arm: str) -> None:
    [line] = about({"kind": "nearly_best", "arm": arm, "within": 1.0}, axis=K_AXIS)
    assert line.startswith("claims.0.test.arm: must be one of K=1, K=all, got")


def test_names_change_wherever_an_arm_is_named() -> None:
    rules: list[dict[str, Any]] = [
        {"kind": "better", "arm": "K=all", "than": "K=1"},
        {"kind": "alike", "arms": ["K=1", "K=all"], "within": 1.0},
        {"kind": "like_paper"},
    ]
    renamed = [
        Claim.model_validate(claim(**rule)).with_names({"K=all": "K=4"}).arms_named()
        for rule in rules
    ]
    assert renamed == [
        [("test.arm", "K=4"), ("test.than", "K=1")],
        [("test.arms.0", "K=1"), ("test.arms.1", "K=4")],
        [],
    ]


def test_no_arm_is_any_other_arm() -> None:
    any_other = Claim.model_validate(claim(kind="better", than="K=1"))
    assert any_other.arms_named() == [("test.than", "K=1")]
    assert any_other.with_names({"K=1": "K=2"}).test == Better(than="K=2")
