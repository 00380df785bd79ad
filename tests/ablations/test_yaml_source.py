from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablations.yaml_source import parse_yaml, read_yaml, split_path
from d2v_core.errors import ConfigError, Problem

FILE = Path("study.yaml")


def refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, FILE)
    return str(caught.value)


def test_data_is_plain_yaml_1_2():
    source = parse_yaml(
        "a: 1\nb: [2.5, x, null]\nc: {on: yes, 3: 1e-3}\nd: '1/12'\n", FILE
    )
    assert source.data == {
        "a": 1,
        "b": [2.5, "x", None],
        "c": {"on": "yes", 3: 0.001},
        "d": "1/12",
    }


def test_an_empty_file_is_nothing():
    assert parse_yaml("", FILE).data is None
    assert parse_yaml("# only a comment\n", FILE).data is None
    assert parse_yaml("", FILE).locate(("a",)) == "study.yaml:1:1"


def test_every_key_and_item_has_its_line_and_column():
    text = "a: 1\nb:\n  c: {d: 4}\n  e:\n    - 5\n    -   f: 6\n"
    source = parse_yaml(text, FILE)
    places = {
        ("a",): "1:1",
        ("b",): "2:1",
        ("b", "c"): "3:3",
        ("b", "c", "d"): "3:7",
        ("b", "e"): "4:3",
        ("b", "e", 0): "5:7",
        ("b", "e", 1): "6:9",
        ("b", "e", 1, "f"): "6:9",
    }
    for path, place in places.items():
        assert source.locate(path) == f"study.yaml:{place}"


def test_what_is_not_in_the_file_is_placed_at_its_nearest_parent():
    source = parse_yaml("a: 1\nb:\n  c: 2\n", FILE)
    assert source.locate(("b", "x", "y")) == "study.yaml:2:1"
    assert source.locate(("x",)) == "study.yaml:1:1"


def test_problems_get_their_place():
    source = parse_yaml("a: 1\nb:\n  - 5\n", FILE)
    error = source.located([Problem("b.0", "too large"), Problem("", "incomplete")])
    assert str(error) == "study.yaml:3:5: b.0: too large\nstudy.yaml:1:1: incomplete"


def test_all_duplicate_keys_are_named_with_both_places():
    text = "a: 1\nb:\n  c: 2\n  c: 3\na: 4\nd: [{e: 1, e: 2}]\n"
    assert refused(text) == (
        "study.yaml:4:3: b.c: stands twice, first at 3:3; keep one\n"
        "study.yaml:5:1: a: stands twice, first at 1:1; keep one\n"
        "study.yaml:6:12: d.0.e: stands twice, first at 6:6; keep one"
    )


def test_the_same_key_in_two_mappings_is_no_duplicate():
    data = parse_yaml("a: {x: 1}\nb: {x: 1}\nc: [{x: 1}, {x: 1}]\n", FILE).data
    assert data["c"] == [{"x": 1}, {"x": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3", "study.yaml:2:2: not valid YAML: expected ',' or ']'"),
        ("a:\n\t- 1", "study.yaml:2:1: not valid YAML: found character '\\t'"),
        (
            "a: 1\n---\nb: 2",
            "study.yaml:2:1: not valid YAML: but found another document",
        ),
        ("a: *b", "study.yaml:1:4: not valid YAML: found undefined alias 'b'"),
        (
            "a: !!python/object:os.system ls",
            "study.yaml:1:4: not valid YAML: could not determine a constructor",
        ),
        ("a: \x00", "study.yaml: not valid YAML: unacceptable character #x0000"),
        ("a: 2020-13-45", "study.yaml:1:4: not a value: month must be in 1..12"),
        ("a: !!int x", "study.yaml:1:4: not a value: invalid literal for int()"),
        ("? [1, 2]\n: x", "study.yaml:1:3: a key must be a name"),
        ("a: {<<: {b: 1}}", "study.yaml:1:5: a key must be a name"),
        ("a: &a [*a]", "study.yaml:1:4: an alias must not stand inside its own anchor"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(text, message):
    assert refused(text).startswith(message)


def test_an_alias_repeats_its_anchor():
    source = parse_yaml("a: &x {b: [1]}\nc: *x\n", FILE)
    assert source.data == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_files_that_cannot_be_read_are_named(tmp_path):
    missing = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        read_yaml(missing)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("title: Stück".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_yaml(latin)
    assert str(caught.value) == f"{latin}: must be UTF-8, byte 9 is not"


def test_a_file_is_read_as_utf_8(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("title: Stück τ\n", encoding="utf-8")
    source = read_yaml(path)
    assert source.data == {"title": "Stück τ"}
    assert source.locate(("title",)) == f"{path}:1:1"


def test_dotted_paths_have_numbers_for_items():
    assert split_path("arms.0.set") == ("arms", 0, "set")
    assert split_path("") == ()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{},&*!?<>'\"|#% \n\t01.", max_size=30))
def test_any_text_is_data_or_a_config_error(text):
    message = "study.yaml"
    try:
        parse_yaml(text, FILE)
    except ConfigError as error:
        message = str(error)
    assert message.startswith("study.yaml")
