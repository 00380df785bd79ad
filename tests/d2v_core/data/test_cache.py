"""Cache files cut short, garbled, emptied or deleted: the data stays the same."""

import hashlib
import json
import logging
import os
import threading
from random import Random

import numpy as np
import pytest

from d2v_core.config.speech_data import SpokenDigitsData
from d2v_core.config.text import LinesData
from d2v_core.data import cache
from d2v_core.data.cache import CacheEntry, content_key, files_digest
from d2v_core.data.file_errors import FileErrors
from d2v_core.data.speech.audio_files import open_audio
from d2v_core.data.speech.dataset import load_spoken_digits
from d2v_core.data.speech.utterances import AudioFile
from d2v_core.data.text.line_files import load_lines
from d2v_core.data.text.tokenizer import trained_tokenizer
from d2v_core.data.vision.folders import find_image_folders, load_image_folders
from d2v_core.errors import DataError
from tests.d2v_core.data.speech.trees import write_audio
from tests.d2v_core.data.vision.trees import STANDARD, write_tree

pytestmark = pytest.mark.usefixtures("own_cache")
TRIES = 12


def bytes_of(*arrays):
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def read_images(root):
    if not (root / "train").exists():
        write_tree(root, STANDARD)
    dataset = load_image_folders(
        find_image_folders(str(root), ""),
        size=6,
        channels=3,
        validation_fraction=0.25,
    )
    splits = (dataset.train, dataset.valid, dataset.test)
    pixels = [split.images.read(np.arange(len(split))) for split in splits]
    return dataset.digest, bytes_of(*pixels)


def read_audio(root):
    for i in range(3):
        if not (root / f"{i}.wav").exists():
            write_audio(root / f"{i}.wav", 300 + i, seed=i)
    files = [AudioFile(root / f"{i}.wav") for i in (0, 1, 7, 2)]
    opened = open_audio(files, cache_key="k", sample_rate_hz=None)
    waves = [opened.audio.read(i) for i in range(3)]
    return opened.broken, opened.kept.tolist(), bytes_of(*waves)


def read_digits(root):
    data = SpokenDigitsData(num_train=10, num_valid=10, num_test=10, max_digits=2)
    dataset = load_spoken_digits(data)
    splits = (dataset.train, dataset.valid, dataset.test)
    return bytes_of(*(split.audio.read(i) for split in splits for i in range(10)))


def read_lines(root):
    file = root / "train.txt"
    if not file.exists():
        file.write_text("".join(f"ape bee {i} cow\n" for i in range(40)))
    data = LinesData(root=str(root))
    corpus = load_lines(data, FileErrors(), vocab_size=280, max_tokens=24)
    return corpus.tokenizer.json, bytes_of(*corpus.rows.read(range(len(corpus.rows))))


def read_tokenizer(root):
    texts = ["hello world this is a text"] * 20
    return trained_tokenizer(lambda: texts, digest="abc", vocab_size=290).json


READERS = [read_images, read_audio, read_digits, read_lines, read_tokenizer]


def torn(content: bytes, random: Random) -> bytes:
    """The content cut short, grown, emptied, or with some bytes turned."""
    kind = random.choice(["cut", "grown", "empty", "turned"])
    if kind == "cut":
        return content[: random.randrange(len(content))]
    if kind == "grown":
        return content + b"\xff" * random.randrange(1, 9)
    if kind == "empty":
        return b""
    start = random.randrange(len(content))
    turned = bytes(byte ^ 0x80 for byte in content[start : start + 16])
    return content[:start] + turned + content[start + 16 :]


@pytest.mark.parametrize("read", READERS)
def test_torn_files_give_the_same_data_and_a_line(tmp_path, own_cache, caplog, read):
    expected = read(tmp_path)
    random, files = Random(2022), sorted(p for p in own_cache.rglob("*") if p.is_file())
    assert files
    for attempt in range(TRIES):
        file = files[attempt % len(files)]
        whole = file.read_bytes()
        file.write_bytes(torn(whole, random))
        caplog.clear()
        assert read(tmp_path) == expected, file.name
        lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert any("it is made anew" in line for line in lines), file.name
        assert file.read_bytes() == whole  # made anew, the same
        caplog.clear()
        assert read(tmp_path) == expected
        assert not caplog.records


@pytest.mark.parametrize("read", READERS)
def test_deleted_files_are_made_anew(tmp_path, own_cache, read):
    expected = read(tmp_path)
    for file in [p for p in own_cache.rglob("*") if p.is_file()]:
        whole = file.read_bytes()
        file.unlink()
        assert read(tmp_path) == expected
        assert file.read_bytes() == whole


def test_data_that_is_shorter_is_noticed_in_another_process_too(tmp_path, own_cache):
    expected = read_audio(tmp_path)
    file = own_cache / "speech" / "k.f32"
    stat = file.stat()
    os.truncate(file, 1_000)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a careless copy may
    cache._digest_of_file.cache_clear()
    assert read_audio(tmp_path) == expected


def test_an_index_of_other_data_does_not_count():
    one, other = CacheEntry("images", "a"), CacheEntry("images", "b")
    one.write({"n": 1}, {"npy": lambda file: file.write(b"1")})
    other.write({"n": 2}, {"npy": lambda file: file.write(b"2")})
    os.replace(other.file("npy"), one.file("npy"))
    assert one.read() is None


def test_an_entry_that_fails_while_it_is_made_is_none(own_cache):
    entry = CacheEntry("images", "a")

    def fail(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entry.write({"n": 1}, {"npy": fail})
    assert entry.read() is None
    assert not [p for p in own_cache.rglob("*") if p.is_file()]


def test_makers_at_once_leave_one_whole_entry():
    content = os.urandom(100_000)

    def make():
        for _ in range(20):
            entry = CacheEntry("images", "shared")
            entry.write({"n": 1}, {"npy": lambda file: file.write(content)})
            assert entry.read() == {"n": 1}

    failures = []
    threads = [threading.Thread(target=make) for _ in range(4)]
    threading.excepthook, before = failures.append, threading.excepthook
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = before
    assert not failures


def test_a_cache_that_cannot_be_written_is_a_message(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("D2V_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set D2V_CACHE to a folder that is"):
        CacheEntry("images", "a").write({"n": 1}, {})


def test_what_is_made_of_large_sets_changes_with_their_times(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "FULL_HASH_BYTES", 10)
    file = tmp_path / "large.txt"
    file.write_text("a" * 20)
    digest = files_digest(tmp_path, [file])
    before = content_key(tmp_path, [file], digest)
    file.write_text("b" * 20)
    os.utime(file, ns=(1, 1))
    assert files_digest(tmp_path, [file]) == digest  # as documented: names and sizes
    assert content_key(tmp_path, [file], digest) != before


def test_a_digest_from_elsewhere_is_not_believed(tmp_path, own_cache):
    file = tmp_path / "a.txt"
    file.write_text("a")
    digest = files_digest(tmp_path, [file])
    (index,) = (own_cache / "digests").iterdir()
    known = json.loads(index.read_text())
    known["about"]["digest"] = "../../escape"
    index.write_text(json.dumps(known))
    assert files_digest(tmp_path, [file]) == digest


def test_a_mark_changes_the_digest_of_what_was_read_otherwise(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("a")

    def never(path):
        return False

    def always(path):
        return True

    plain = files_digest(tmp_path, [file])
    assert files_digest(tmp_path, [file], never) == plain
    assert files_digest(tmp_path, [file], always) != plain
