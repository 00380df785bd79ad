import json

from ablations.mlflow_names import DRAWS_TAG, NOTES_TAG, REASON_TAG, TAG_LENGTH
from ablations.record import Record, record_tags


def record(**changes):
    fields = {
        "key": "k",
        "status": "finished",
        "seed": 0,
        "steps": 1,
        "num_parameters": 1,
        "metrics": {"eval/linear_accuracy": 50.0},
        "data_name": "digits",
        "data_digest": "d",
        "environment": {},
        **changes,
    }
    return Record.model_validate(fields)


def test_scores_at_each_draw_survive_json_and_are_a_compact_tag():
    written = record(draws={"eval/linear_accuracy": [50.12345, 49.0]})
    read = Record.model_validate_json(written.model_dump_json())
    assert read == written
    tag = record_tags(read)[DRAWS_TAG]
    assert tag == '{"eval/linear_accuracy":[50.123,49.0]}'


def test_no_draws_and_too_many_are_no_tag():
    assert DRAWS_TAG not in record_tags(record())
    many = {f"eval/task_{i}_accuracy": [12.345] * 100 for i in range(10)}
    assert len(json.dumps(many)) > TAG_LENGTH
    assert DRAWS_TAG not in record_tags(record(draws=many))


def test_records_of_before_have_no_draws():
    old = json.loads(record().model_dump_json())
    del old["draws"]
    assert Record.model_validate_json(json.dumps(old)).draws == {}


def test_a_tag_is_there_only_if_it_says_something():
    assert not {REASON_TAG, NOTES_TAG} & record_tags(record()).keys()
    tags = record_tags(record(reason="why", notes=("a", "b")))
    assert (tags[REASON_TAG], tags[NOTES_TAG]) == ("why", "a; b")
    assert all(tags.values())
