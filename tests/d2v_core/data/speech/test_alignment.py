"""Labels of frames against a case made by hand, and spans of subsets."""

import numpy as np
import pytest

from d2v_core.data.speech.alignment import (
    NO_WORD,
    Alignment,
    Spans,
    frame_labels,
    spans_digest,
)

SIX = Spans(
    ends=np.array([1_000, 1_400, 2_000, 2_200]),
    phones=np.array([0, 4, 5, 0]),
    words=np.array([NO_WORD, 7, 7, NO_WORD]),
)
LOG_MEL = [(400, 320)]
"""Frame i sees samples 320 i to 320 i + 399; its centre is sample 320 i + 200."""


def test_a_frame_is_what_is_said_at_its_centre():
    # Centres 200, 520, 840, 1160, 1480, 1800.
    assert frame_labels(SIX, "phone", 6, LOG_MEL).tolist() == [0, 0, 0, 4, 5, 5]
    words = frame_labels(SIX, "word", 6, LOG_MEL).tolist()
    assert words == [NO_WORD, NO_WORD, NO_WORD, 7, 7, 7]


@pytest.mark.parametrize(("end", "label"), [(199, 9), (200, 9), (201, 1)])
def test_a_span_ends_before_the_sample_of_its_end(end, label):
    both = np.array([1, 9])
    spans = Spans(np.array([end, 400]), both, both)
    assert frame_labels(spans, "phone", 1, LOG_MEL).tolist() == [label]


def test_a_subset_keeps_names_and_picks_spans():
    other = Spans(SIX.ends + 1, SIX.phones, SIX.words)
    alignment = Alignment(("silence", "a"), ("ONE",), (SIX, other))
    picked = alignment.subset(np.array([1]))
    assert picked.spans == (other,)
    assert picked.names("phone") == ("silence", "a")
    assert picked.names("word") == ("ONE",)


def test_the_digest_tells_every_part():
    changed = [
        SIX,
        Spans(SIX.ends + 1, SIX.phones, SIX.words),
        Spans(SIX.ends, SIX.phones + 1, SIX.words),
        Spans(SIX.ends, SIX.phones, SIX.words + 1),
    ]
    assert len({spans_digest([one]) for one in changed}) == 4
    assert spans_digest([SIX, SIX]) != spans_digest([SIX])
