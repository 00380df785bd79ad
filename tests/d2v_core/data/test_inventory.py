import json

import pytest

from d2v_core.data.inventory import (
    Inventory,
    is_leftover,
    listed,
    missing_classes,
    suspicious_classes,
    suspicious_letters,
    unknown_letters,
)


def test_a_line_tells_what_was_found_used_and_left_out_and_why():
    inventory = Inventory(
        unit="image files",
        used={"train": 8, "test": 4},
        left_out={"with no suffix": 3, "in .ipynb_checkpoints": 1_000},
        suspicious=("classes 'Cat' and 'cat' differ only in case or signs",),
    )
    assert inventory.line() == (
        "1,015 image files found, 12 used (train 8, test 4); left out: 1,000 in "
        ".ipynb_checkpoints, 3 with no suffix; look at this: classes 'Cat' and 'cat' "
        "differ only in case or signs"
    )
    content = json.loads(json.dumps(inventory.content()))
    again = Inventory(**content | {"suspicious": tuple(content["suspicious"])})
    assert again == inventory


@pytest.mark.parametrize(
    "name",
    [".ipynb_checkpoints", "__MACOSX", "._cat.jpg", "Thumbs.db", "@eaDir", "~$a.wav"],
)
def test_what_tools_leave_is_known(name):
    assert is_leftover(name)


@pytest.mark.parametrize("name", ["cat", "n01440764", "_unknown_", "no.1", "macosx"])
def test_classes_are_none_of_it(name):
    assert not is_leftover(name)


def test_classes_that_may_be_one_are_named():
    assert suspicious_classes(["cat", "dog", "fox"]) == ()
    (sentence,) = suspicious_classes(["Cat", "cat ", "dog", "no_1", "no-1"])
    assert sentence == (
        "classes 'Cat' and 'cat ', 'no_1' and 'no-1' differ only in case or signs"
    )
    assert suspicious_classes(["+", "-"]) == ()  # nothing but signs are different
    assert suspicious_classes(["cat", "train"]) == (
        "class 'train' has the name of a split",
    )


def test_classes_that_a_split_lacks_are_named():
    present = {"train": [0, 1, 2], "test": [2, 0, 2]}
    assert missing_classes(["a", "b", "c"], present) == (
        "test holds none of class 'b'",
    )
    assert missing_classes([], present) == ()


def test_letters_nobody_speaks_are_named():
    assert suspicious_letters(["ONE TWO", "THREE|FOUR"]) == ()
    assert suspicious_letters(["\ufeffone", "tw\u200bo"]) == (
        "the transcripts hold the invisible characters U+200B, U+FEFF",
    )
    assert suspicious_letters(["one O"]) == ("letters stand in both cases: o",)


def test_letters_that_training_lacks_are_counted():
    assert unknown_letters(["ab"], ["ab ba"]) == ([], 0.0)
    assert unknown_letters(["ab"], ["abcc"]) == (["c"], 0.5)
    assert unknown_letters([], []) == ([], 0.0)


def test_many_names_are_the_first_and_a_count():
    assert listed("abc") == "a, b, c"
    assert listed(str(i) for i in range(1_234)).endswith("8, 9 and 1,224 more")


def test_names_that_would_steer_a_terminal_or_break_a_record_are_escaped():
    reason = "with unknown suffix .\x1b[31m\udcff"
    inventory = Inventory("image files", {}, {reason: 1})
    assert "unknown suffix .\\x1b[31m\\xdcff" in inventory.line()
    json.dumps(inventory.content(), ensure_ascii=False).encode()
    assert listed(["a\n", "b" * 200]) == "a\\x0a, " + "b" * 80


def test_a_thousand_reasons_are_ten_and_a_count():
    inventory = Inventory("files", {}, {f"with suffix .{i}": i for i in range(1_000)})
    assert inventory.line().count("with suffix") == 10
    assert "for other reasons" in inventory.line()
    assert sum(inventory.content()["left_out"].values()) == 499_500
