"""An error that nobody foresaw is two lines and a file, never a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.sweeps.command import d2v_here


def test_an_unforeseen_error_is_two_lines_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str, request: object) -> None:
        raise RuntimeError(f"no {name} at http://bob:s3cr3tpw@host\nsecond line")

    monkeypatch.setattr("ablations.study.arms.expand_named", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = d2v_here(
        tmp_path,
        *("run", "layer_averaging", "--tracking-uri", "http://eve:s3cr3tpw@host"),
        monkeypatch=monkeypatch,
        capsys=capsys,
    )
    (file,) = tmp_path.glob("d2v-error-*.log")
    assert done.code == 3
    assert done.out == ""
    assert done.err.splitlines() == [
        "this is our fault, not yours: RuntimeError: no layer_averaging at "
        "http://bob:…@host",
        f"all of it is in {file}; please report it with what you typed",
    ]
    story = file.read_text()
    assert "Traceback (most recent call last)" in story
    assert "second line" in story
    assert "d2v run layer_averaging --tracking-uri" in story
    assert "s3cr3tpw" not in story


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--seeds", "²"], "--seeds: must be a count of at least 1"),
        (["--seeds", "9" * 5_000], "--seeds: must be a count of at least 1"),
        (["--seeds", "1000000000"], "--seeds: must be at most 10,000 seeds"),
        (["--set", "target.top_k=2020-13-45"], "--set target.top_k=2020-13-45: not a"),
        (["--set", "target.top_k=" + "[" * 2_000], "at most 40 deep"),
        (["--set", "training.num_steps=10000000000"], "less than or equal to 1000000"),
        (["--set", "a²=1"], "--set: a²: unknown setting"),
        (["--budget", "9" * 400 + "h"], "--budget: must be a duration"),
        (["--address", "127.0.0.1:²"], "--address: must be host:port"),
        (["--address", "[::1:6379"], "--address: must be host:port"),
        (["--tracking-uri", "sqlite://"], "--tracking-uri: must be a file"),
        (["--storage", "x" * 5_000], "--storage: must be a folder"),
    ],
)
def test_whatever_is_typed_is_refused_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    rule: str,
) -> None:
    done = d2v_here(
        tmp_path,
        *("run", "layer_averaging", *arguments),
        monkeypatch=monkeypatch,
        capsys=capsys,
    )
    assert done.code == 2, done.err
    assert rule in done.err
    assert len(done.err.splitlines()) == 1
    assert len(done.err) < 1_000
