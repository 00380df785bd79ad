"""examples/sentences.py: a text source of one's own."""

import pytest

from d2v_core.errors import ConfigError
from d2v_core.modalities.text import MODALITY
from tests.d2v_core.small_text import SMALL_TEXT
from tests.examples.places import EXAMPLES, own_trial, trained

DATA = {"data.source": "own", "data.function": "sentences.py:sentences"}


def small(settings, folder=EXAMPLES):
    settings = {**DATA, "evaluation.tasks": [], **settings}
    return own_trial(settings, folder, SMALL_TEXT)


def test_it_trains_on_the_sentences() -> None:
    losses, metrics = trained(small({}))
    assert len(losses) > 1
    assert metrics["eval/rankme"] >= 1.0


def test_the_data_is_what_the_example_gives() -> None:
    dataset = MODALITY.load_data(small({"data.settings.who": "cat dog"}))
    assert dataset.name == "sentences.py:sentences"
    assert dataset.inventory.used == {"corpus": 2 * 3 * 2 * 3}
    (row,) = dataset.rows.read([0])
    assert dataset.tokenizer.decode(row.tolist()) == "the cat sees the cat at home"


def test_the_digest_is_of_what_it_gives_and_tasks_are_no_training() -> None:
    first, same, other = (
        MODALITY.training_digest(small({"data.settings.who": who}))
        for who in ("cat dog", "cat dog", "cat")
    )
    assert first == same != other
    asked = small({"evaluation.tasks": ["pydoc/topic"]})
    assert MODALITY.training_digest(asked) == MODALITY.training_digest(small({}))
    assert MODALITY.data_digest(asked) != MODALITY.data_digest(small({}))
    assert [task.name for task in MODALITY.load_data(asked).tasks] == ["pydoc_topic"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("'one text'", "must give a list of texts, got str"),
        ("['a', '  ']", "text 1 must be a text that is not blank"),
        ("[]", "must give texts, gave none"),
    ],
)
def test_what_is_no_text_is_refused_when_it_is_digested(given, message, tmp_path):
    (tmp_path / "mine.py").write_text(f"def f(root): return {given}\n")
    trial = small({"data.function": "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        MODALITY.training_digest(trial)
    wanted = "data.function: must be a text source, f(root) -> list of texts"
    assert str(caught.value).startswith(wanted)
    assert message in str(caught.value)
