"""What is printed where nobody looks at a terminal: lines, at once."""

from __future__ import annotations

import pytest

from tests.sweeps.conftest import Undisturbed

pytestmark = pytest.mark.thorough


def test_a_line_for_each_trial_arrives_when_it_ends(undisturbed: Undisturbed) -> None:
    for line, _ in undisturbed.lines:
        assert "\x1b" not in line
        assert "\r" not in line
    seen = [(line, ran) for line, ran in undisturbed.lines if ": finished" in line]
    counts = [line[line.index("[") :].split(" done")[0] for line, _ in seen]
    assert counts == ["[1", "[2", "[3"]
    assert "running" in seen[0][0]
    assert "[1 done · 0 running" not in seen[0][0]  # told while the others train
    assert all(ran for _, ran in seen)
