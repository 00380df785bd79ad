import pytest

from d2v_core.data.speech.manifests import read_manifest
from tests.d2v_core.data.speech.trees import WORDS, write_manifest


def test_a_manifest_gives_files_transcripts_and_labels(tmp_path):
    write_manifest(tmp_path, "train")
    listing = read_manifest(tmp_path, "train")
    assert listing.errors == ()
    assert [file.path.name for file in listing.files] == [
        f"train-{i}.wav" for i in range(3)
    ]
    assert [file.num_samples for file in listing.files] == [1600, 1760, 1920]
    assert listing.files[0].path.is_file()
    assert listing.texts == WORDS
    assert listing.labels == {"speaker": ("s0", "s1", "s0")}
    assert {path.name for path in listing.sources} == {
        "train.tsv",
        "train.wrd",
        "train.ltr",
        "train.labels.tsv",
    }


def test_letters_alone_give_the_words(tmp_path):
    manifest = write_manifest(tmp_path, "train")
    manifest.with_suffix(".wrd").unlink()
    assert read_manifest(tmp_path, "train").texts == WORDS


def test_a_manifest_without_transcripts_has_none(tmp_path):
    manifest = write_manifest(tmp_path, "train", words=False)
    manifest.with_suffix(".labels.tsv").unlink()
    listing = read_manifest(tmp_path, "train")
    assert (listing.texts, listing.labels, listing.errors) == (None, {}, ())


@pytest.mark.parametrize(
    ("suffix", "content", "fault"),
    [
        (".tsv", "a.wav\t12\nb.wav\t13\n", "train.tsv:1: must be the folder of the"),
        (".tsv", "wav\na.wav 12\n", "train.tsv:2: must be path<TAB>num_samples, got"),
        (".tsv", "wav\na.wav\t-4\n", "train.tsv:2: must be path<TAB>num_samples, got"),
        (".tsv", f"wav\na.wav\t{'9' * 5_000}\n", "train.tsv:2: must be path<TAB>num"),
        (".tsv", "wav\na.wav\t²\n", "train.tsv:2: must be path<TAB>num_samples, got"),
        (".tsv", "wav\na\0b.wav\t5\n", "train.tsv:2: must be text of at most 65,536"),
        (".wrd", "A" * 70_000, "train.wrd:1: must be text of at most 65,536 char"),
        (".tsv", "wav\n", "train.tsv: must list at least one file, lists none"),
        (".wrd", "ONE\n", "train.wrd: must have one line for each of 3 files"),
        (".wrd", "ONE\nTWO\nFOUR\n", "train.ltr:2: must spell the words of train.wrd"),
        (".labels.tsv", "path\tx\na\tb\n", "header and one line for each of 3 files"),
        (
            ".labels.tsv",
            "path\tx\ntrain-0.wav\ta\ntrain-1.wav\ntrain-2.wav\tb\n",
            "train.labels.tsv:3: must have 2 columns like its header, has 1",
        ),
        (
            ".labels.tsv",
            "path\tx\ntrain-0.wav\ta\ntrain-2.wav\tb\ntrain-1.wav\tb\n",
            "train.labels.tsv:3: must be about train-1.wav, as in train.tsv, is about",
        ),
    ],
)
def test_each_fault_is_named_with_file_and_line(tmp_path, suffix, content, fault):
    write_manifest(tmp_path, "train")
    (tmp_path / f"train{suffix}").write_text(content)
    errors = read_manifest(tmp_path, "train").errors
    assert any(fault in text for text in errors), errors


def test_a_missing_manifest_and_one_in_another_encoding_are_faults(tmp_path):
    assert "there is no such manifest" in read_manifest(tmp_path, "train").errors[0]
    manifest = write_manifest(tmp_path, "train")
    manifest.with_suffix(".wrd").write_bytes(b"ONE\nTW\xd6\nFOUR\n")
    errors = read_manifest(tmp_path, "train").errors
    assert any("train.wrd: must be UTF-8, byte 6 is not" in text for text in errors)


@pytest.mark.parametrize("suffix", [".tsv", ".wrd", ".ltr", ".labels.tsv"])
def test_byte_order_marks_are_no_letters(tmp_path, suffix):
    manifest = write_manifest(tmp_path, "train")
    expected = read_manifest(tmp_path, "train")
    file = manifest.with_suffix(suffix)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(b"\xef\xbb\xbf" + line for line in lines))
    assert read_manifest(tmp_path, "train") == expected


def test_a_line_ends_where_the_file_says_so(tmp_path):
    manifest = write_manifest(tmp_path, "train", words=False)
    text = "ONE\x85\u2028\x0bTWO\r\nTWO\r\nFOUR"
    manifest.with_suffix(".wrd").write_bytes(text.encode())
    listing = read_manifest(tmp_path, "train")
    assert (listing.errors, listing.texts) == ((), ("ONE TWO", "TWO", "FOUR"))
