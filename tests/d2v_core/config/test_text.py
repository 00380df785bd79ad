import pytest

from ablations.identity import identity_settings, trial_key
from d2v_core.config import parse_trial
from d2v_core.errors import ConfigError
from tests.d2v_core.small import small_trial
from tests.d2v_core.small_text import small_text_trial


def refused(*changes, make=small_text_trial):
    with pytest.raises(ConfigError) as caught:
        make(*changes)
    return str(caught.value).splitlines()


def test_the_default_trial_is_valid_and_needs_no_files():
    trial = parse_trial({"modality": "text"})
    assert trial.data.source == "pydoc"
    assert (trial.mask.probability, trial.mask.mask_share) == (0.15, 0.8)


def test_shares_of_the_mask_are_at_most_one():
    mask = {"kind": "bert", "mask_share": 0.8, "random_share": 0.3}
    assert refused({"mask": mask}) == [
        "mask.random_share: must leave at most 1 together with mask_share (0.8), got "
        "0.3"
    ]


def test_bytes_leave_no_choice_of_the_vocabulary():
    changes = {"text": {"tokenizer": "bytes", "vocab_size": 1500}}
    assert refused(changes) == [
        "text.vocab_size: must be 261 with text.tokenizer bytes (5 special tokens and "
        "256 bytes), got 1500"
    ]
    own = {"text": {"tokenizer": "bytes", "vocab_size": 261}}
    assert small_text_trial(own).text.tokenizer == "bytes"
    assert refused({"text": {"tokenizer": "letters"}}) == [
        "text.tokenizer: must be one of bpe, bytes, got 'letters'"
    ]


def test_bytes_have_a_key_of_their_own_and_bpe_keeps_its_old_one():
    bpe = small_text_trial({"text": {"vocab_size": 261}})
    of_bytes = small_text_trial({"text": {"vocab_size": 261, "tokenizer": "bytes"}})
    assert "tokenizer" not in identity_settings(bpe)["text"]
    assert identity_settings(of_bytes)["text"]["tokenizer"] == "bytes"
    assert trial_key(bpe, "digest") != trial_key(of_bytes, "digest")


def test_tasks_must_differ_and_files_need_a_root():
    tasks = ["other/sst_2", "pydoc/topic"]
    assert refused({"evaluation": {"tasks": tasks}}) == [
        "evaluation.tasks: must be among pydoc/topic, pydoc/same_passage with "
        "data.source pydoc, which has no data root, got 'other/sst_2'"
    ]
    twice = {"tasks": ["glue/SST-2", *tasks]}
    assert refused({"data": {"source": "lines"}, "evaluation": twice}) == [
        "evaluation.tasks: must be different tasks, stands twice: 'sst_2'"
    ]
    mixed = {"data": {"source": "lines"}, "evaluation": {"tasks": tasks}}
    assert small_text_trial(mixed).evaluation.tasks == ("other/sst_2", "pydoc/topic")


def test_fine_tuning_needs_its_settings():
    assert refused({"evaluation": {"method": "fine_tune"}}) == [
        "evaluation.fine_tuning: is required with evaluation.method fine_tune and was "
        "not given"
    ]


def test_the_references_bug_is_for_text_only():
    bug = {"teacher": {"input": "reference_bug"}}
    assert small_text_trial(bug).teacher.input == "reference_bug"
    assert refused(bug, make=small_trial) == [
        "teacher.input: reference_bug is a bug of the reference's text code; must be "
        "whole for vision, got reference_bug"
    ]


def test_where_the_data_lies_is_no_identity():
    lines = {"data": {"source": "lines", "folder": "wiki", "root": "/a"}}
    settings = identity_settings(small_text_trial(lines))
    assert settings["data"] == {"source": "lines", "folder": "wiki"}
