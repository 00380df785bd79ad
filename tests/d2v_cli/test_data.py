"""``d2v data`` on folders of every kind, in this process."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import d2v_cli
from ablations.study.arms import Request
from d2v_core.data.speech.manifests import read_manifest
from d2v_core.errors import DataError
from sweeps.driver.run import prepare_data
from sweeps.plan.planning import plan_study
from tests.d2v_core.data.speech.test_audio_folder import recordings
from tests.d2v_core.data.speech.trees import write_splits
from tests.d2v_core.data.text.test_text_folder import essays
from tests.d2v_core.data.vision.test_unlabelled import photos
from tests.d2v_core.data.vision.trees import STANDARD, write_tree


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are typed in a folder of their own, with a cache of their own."""
    monkeypatch.setenv("D2V_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def called(
    *arguments: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    monkeypatch.setattr(sys, "argv", ["d2v", "data", *arguments])
    with pytest.raises(SystemExit) as caught:
        d2v_cli.main()
    told = capsys.readouterr()
    return int(caught.value.code or 0), told.out, told.err


def test_photos_are_told_and_shown(
    tmp_path: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = photos(tmp_path / "<photos>")
    (root / "bad.jpg").write_text("no image")
    (root / "notes.txt").write_text("")
    code, out, _ = called("check", str(root), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "vision, without labels (data.source: images)" in out
    assert "split: train 6, held out 6" in out
    assert "1 with unknown suffix .txt" in out
    assert "1 that do not decode" in out
    assert "width in pixels: 10 in all" in out
    assert "bad.jpg" in out
    assert out.count("only 12 images: enough to try every command") == 1
    page = (here / "data-check.html").read_text()
    assert page.count("data:image/png;base64,") >= 10
    assert "<photos>" not in page
    assert "2024/may/" in page
    assert not re.search(r"(src|href)=\"http", page)


def test_class_folders_keep_their_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_tree(tmp_path / "pets", STANDARD)
    arguments = ("check", str(root), "--json")
    code, out, _ = called(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    told = json.loads(out)
    assert (code, told["source"], told["labelled"]) == (0, "image_folder", True)
    assert told["facts"]["classes"] == "2: cat 8, dog 7"
    arguments = ("check", str(root / "train"), "--json")
    _, out, _ = called(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    told = json.loads(out)
    assert (told["source"], told["labelled"]) == ("images", False)
    assert any("cat, dog are not taken for classes" in w for w in told["warnings"])


def test_recordings_are_told_and_shown(
    tmp_path: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = recordings(tmp_path / "audio")
    code, out, _ = called("check", str(root), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "speech, without labels (data.source: audio_folder)" in out
    assert "FLAC 8,000 Hz mono 2" in out
    assert "22,050 Hz mono" in out
    assert (here / "data-check.html").read_text().count("data:image/png") == 6
    labelled = write_splits(tmp_path / "manifests")
    arguments = ("check", str(labelled), "--json")
    _, out, _ = called(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    told = json.loads(out)
    assert told["source"] == "manifest"
    assert told["facts"]["labels: speaker"] == "2: s0 2, s1 1"


def test_texts_are_told_and_shown(
    tmp_path: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = essays(tmp_path / "essays")
    (root / "empty.txt").write_text("\n")
    code, out, _ = called("check", str(root), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "text files: 3" in out
    assert "lines: 40" in out
    assert "without any text: empty.txt" in out
    assert "the cat sat on the mat" in (here / "data-check.html").read_text()


@pytest.mark.parametrize("files", [0, 1])
def test_what_cannot_be_used_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: int,
) -> None:
    root = photos(tmp_path / "few", files)
    root.mkdir(exist_ok=True)
    code, _, err = called("check", str(root), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "must hold" in err
    assert "Traceback" not in err
    one = write_tree(tmp_path / "one", {"train": {"cat": 3}, "test": {"cat": 2}})
    code, _, err = called("check", str(one), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "at least 2 class folders, holds only 'cat'" in err
    assert "--set data.source=images" in err
    code, _, err = called(
        *("check", str(one), "--modality", "smell"),
        monkeypatch=monkeypatch,
        capsys=capsys,
    )
    assert (code, "must be one of vision, speech, text" in err) == (2, True)


def test_a_run_names_broken_files_before_trials_start(tmp_path: Path) -> None:
    (photos(tmp_path / "photos") / "bad.jpg").write_text("no image")
    folder = f"data.folder={tmp_path / 'photos'}"
    plan = plan_study("first_look", Request("vision", "smoke", (folder,), seeds=(0,)))
    with pytest.raises(DataError, match="1 of 13 do not"):
        prepare_data([plan])


def test_manifests_are_fairseqs_and_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = recordings(tmp_path / "audio")
    (root / "bad.wav").write_text("no audio")
    out = tmp_path / "lists"
    arguments = ("manifest", str(root), "--out", str(out), "--valid", "0.2")
    code, told, _ = called(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "left out" in told
    assert "bad.wav" in told
    lines = (out / "train.tsv").read_text().splitlines()
    assert lines[0] == str(root)
    assert all(re.fullmatch(r"[^\t]+\.(wav|flac)\t\d+", line) for line in lines[1:])
    splits = [read_manifest(out, split) for split in ("train", "valid")]
    assert [len(split.files) for split in splits] == [3, 3]
    assert not any(split.errors for split in splits)
    assert all(file.path.is_file() for split in splits for file in split.files)
    assert called(*arguments, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    (out / "train.tsv").write_text("mine\n")
    code, _, err = called(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "give another --out" in err) == (2, True)
    assert (out / "train.tsv").read_text() == "mine\n"
