"""One training serves every evaluation, in one run and in later ones, with real Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.worker.encoders import EncoderStore
from tests.sweeps.command import TINY, d2v

STUDY = """
name: protocols
title: One encoder, three evaluations
arms:
  - name: few labels
  - {name: teacher, set: {evaluation.network: teacher}}
  - {name: k-NN, set: {evaluation.protocol: knn}}
seeds: 2
metric: {vision: accuracy}
"""
RUN = ("protocols.yaml", *TINY)


def events(folder: Path, kind: str) -> list[dict[str, object]]:
    """Those of the last command."""
    log = sorted((folder / "d2v-runs" / "events").glob("*.jsonl"))[-1]
    lines = map(json.loads, log.read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


@pytest.mark.thorough
def test_each_encoder_is_trained_once_however_it_is_evaluated(tmp_path: Path) -> None:
    (tmp_path / "protocols.yaml").write_text(STUDY)
    encoders = EncoderStore(tmp_path / "d2v-runs" / "encoders")
    lacking = d2v(tmp_path, "evaluate", *RUN)
    assert lacking.code == 1, lacking.err
    assert (
        "6 trials have no trained encoder and were left out: few labels · seed 0"
        in (lacking.out)
    )

    first = d2v(tmp_path, "run", *RUN)
    assert first.code == 0, first.out + first.err
    assert "2 trials trained, 4 evaluated on kept encoders (6 finished)" in first.out
    starts = [event["step"] for event in events(tmp_path, "trial_started")]
    assert sorted(starts) == [0, 0, 6, 6, 6, 6]
    kept = set(encoders.keys())
    assert len(kept) == 2
    assert not list((tmp_path / "d2v-runs" / "checkpoints").iterdir())

    more = d2v(tmp_path, "evaluate", *RUN, "--set=evaluation.num_labels=50")
    assert more.code == 0, more.out + more.err
    assert "6 evaluated on kept encoders (6 finished), 0 cached" in more.out

    torn = encoders.place(min(kept)) / "student.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    options = ("--set=evaluation.num_labels=40", "--keep-encoders=none")
    again = d2v(tmp_path, "run", *RUN, *options)
    assert again.code == 0, again.out + again.err
    said = " ".join(str(event["text"]) for event in events(tmp_path, "message"))
    assert "this encoder cannot be used: student.safetensors has" in said
    assert "and it is trained again" in said
    assert set(encoders.keys()) == kept  # those were there before


@pytest.mark.thorough
def test_no_encoder_stays_where_none_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "protocols.yaml").write_text(STUDY)
    done = d2v(tmp_path, "run", *RUN, "--keep-encoders=none", "--seeds=1")
    assert done.code == 0, done.out + done.err
    assert "1 trial trained, 2 evaluated on kept encoders" in done.out
    encoders = EncoderStore(tmp_path / "d2v-runs" / "encoders")
    assert list(encoders.keys()) == []
