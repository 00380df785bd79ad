"""What is printed where nobody looks at a terminal: lines, at once."""

from __future__ import annotations

from pathlib import Path

from tests.sweeps.driver.long_run import LONG, start


def test_a_line_for_each_trial_arrives_when_it_ends(tmp_path: Path) -> None:
    seen = []
    with start(tmp_path, *LONG) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if ": finished" in line:
                seen.append((line, run.poll() is None))
            assert "\x1b" not in line
            assert "\r" not in line
    assert run.returncode == 0
    counts = [line[line.index("[") :].split(" done")[0] for line, _ in seen]
    assert counts == ["[1", "[2", "[3"]
    assert "running" in seen[0][0]
    assert "[1 done · 0 running" not in seen[0][0]  # told while the others train
    assert all(running for _, running in seen)
