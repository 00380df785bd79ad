import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2v_core.evaluation.speech.word_errors import character_error_rate, word_error_rate


def levenshtein(a, b) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i, j] = min(
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (a[i - 1] != b[j - 1]),
            )
    return int(table[-1, -1])


TEXTS = st.lists(st.sampled_from(["ONE", "TWO", "SIX"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_rates_pool_edits_and_units_of_the_whole_corpus(pairs):
    said, heard = zip(*pairs, strict=True)
    edits = sum(levenshtein(a.split(), b.split()) for a, b in pairs)
    words = sum(len(a.split()) for a in said)
    expected = 100 * edits / max(1, words)
    assert word_error_rate(said, heard) == pytest.approx(expected)
    edits = sum(levenshtein(a, b) for a, b in pairs)
    expected = 100 * edits / max(1, sum(map(len, said)))
    assert character_error_rate(said, heard) == pytest.approx(expected)


def test_known_rates():
    said = ["ONE TWO THREE", "FOUR"]
    assert word_error_rate(said, said) == 0.0
    assert word_error_rate(said, ["", ""]) == 100.0
    assert word_error_rate(said, ["ONE TO THREE", "FOUR"]) == 25.0
    assert word_error_rate(["ONE"], ["ONE ONE ONE"]) == 200.0
    # A mean of the two utterances' own rates would be 50 or 16.7.
    assert word_error_rate(said, ["ONE TWO THREE", "FIVE"]) == 25.0
    assert character_error_rate(["ONE TWO"], ["ONETWO"]) == pytest.approx(100 / 7)
