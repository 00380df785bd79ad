from pydoc_data.topics import topics

import numpy as np

from d2v_core.data.text.pydoc_text import load_pydoc, pydoc_digest


def parts(task):
    return task.train, task.valid, task.tests[""]


def test_splits_share_no_passage_and_pre_training_sees_no_other():
    text = load_pydoc()
    train, valid, test = (set(part.first) for part in parts(text.tasks["pydoc/topic"]))
    assert not train & valid
    assert not (train | valid) & test
    assert not (valid | test) & set(text.passages)
    assert train <= set(text.passages)
    assert text.passages[: len(text.labels)] == text.tasks["pydoc/topic"].train.first
    assert len(set(text.passages)) == len(text.passages)


def test_passages_are_of_the_shortest_topic_they_stand_in():
    text = load_pydoc()
    flat = {name: " ".join(body.split()) for name, body in topics.items()}
    for passage, label in zip(text.passages, text.labels, strict=False):
        homes = [name for name, body in flat.items() if passage in body]
        assert text.classes[label] in homes
    assert len(text.classes) > 10


def test_splits_have_a_half_a_tenth_and_a_third_with_every_topic():
    task = load_pydoc().tasks["pydoc/topic"]
    sizes = np.array([len(part) for part in parts(task)])
    np.testing.assert_allclose(sizes / sizes.sum(), [5 / 9, 1 / 9, 1 / 3], atol=0.01)
    for part in parts(task):
        assert set(part.labels) == set(range(len(task.classes)))


def test_pairs_are_halves_of_the_splits_own_passages_and_balanced():
    text = load_pydoc()
    task = text.tasks["pydoc/same_passage"]
    topic = parts(text.tasks["pydoc/topic"])
    assert len(topic) == 3
    for part, passages in zip(parts(task), topic, strict=True):
        whole = {" ".join(passage.split()) for passage in passages.first}
        joined = [f"{a} {b}" in whole for a, b in part.texts()]
        assert joined == part.labels.astype(bool).tolist()
        assert part.labels.mean() == 0.5


def test_the_digest_is_of_the_text():
    assert len(pydoc_digest()) == 16
    assert pydoc_digest() == pydoc_digest()
