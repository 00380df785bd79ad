from collections.abc import Mapping

import numpy as np
import pytest
import soundfile

from d2v_core.config.speech_data import LibriSpeechData, SpeechCommandsData
from d2v_core.data.speech.dataset import load_speech, speech_digest
from d2v_core.errors import DataError
from tests.d2v_core.data.speech.trees import tone

SUBSETS = {"train-clean-100": 3, "dev-clean": 2, "test-other": 2}


def write_librispeech(root, subsets: Mapping[str, int] = SUBSETS):
    for subset, count in subsets.items():
        for speaker in (19, 26):
            folder = root / "LibriSpeech" / subset / str(speaker) / "198"
            folder.mkdir(parents=True)
            lines = []
            for i in range(count):
                name = f"{speaker}-198-{i:04d}"
                wave = tone(1_600 + 80 * i, 16_000, seed=speaker + i)
                soundfile.write(folder / f"{name}.flac", wave, 16_000)
                lines.append(f"{name} HELLO WORLD IT'S {'ABC'[i]}")
            text = "\n".join(lines) + "\n"
            (folder / f"{speaker}-198.trans.txt").write_text(text)
    return root


def librispeech(root, **changes):
    names = {
        "pretrain": ["train-clean-100", "dev-clean"],
        "train": ["train-clean-100"],
        "valid": "dev-clean",
        "test": "test-other",
    }
    return LibriSpeechData(root=str(root), **{**names, **changes})


def test_librispeech_has_transcripts_speakers_and_joined_subsets(tmp_path):
    data = librispeech(write_librispeech(tmp_path))
    dataset = load_speech(data)
    assert [len(s) for s in (dataset.pretrain, dataset.train)] == [10, 6]
    assert [len(s) for s in (dataset.valid, dataset.test)] == [4, 4]
    assert dataset.train.texts is not None
    assert dataset.train.texts[1] == "HELLO WORLD IT'S B"
    assert dataset.train.labels["speaker"] == ("19",) * 3 + ("26",) * 3
    assert dataset.train.audio.lengths.tolist() == [1600, 1680, 1760] * 2
    np.testing.assert_allclose(
        dataset.train.audio.read(4), tone(1_680, 16_000, seed=27), atol=1e-4
    )
    assert "'" in dataset.classes
    assert dataset.notes == ()
    assert dataset.digest == speech_digest(data)


def test_librispeechs_digest_follows_transcripts_and_audio(tmp_path):
    data = librispeech(write_librispeech(tmp_path))
    first = speech_digest(data)
    file = next((tmp_path / "LibriSpeech/test-other").rglob("*.trans.txt"))
    file.write_text(file.read_text().replace("WORLD", "MOON"))
    assert speech_digest(data) != first


def test_a_missing_subset_says_what_to_do(tmp_path):
    root = write_librispeech(tmp_path)
    with pytest.raises(DataError) as caught:
        load_speech(librispeech(root, test="test-clean"))
    message = str(caught.value)
    assert "torchaudio finds no LibriSpeech test-clean below" in message
    assert "must hold LibriSpeech/test-clean as the archive lays it out" in message
    with pytest.raises(DataError, match="no data root was given"):
        speech_digest(LibriSpeechData())


def test_files_without_transcripts_and_broken_flac_are_named_together(tmp_path):
    root = write_librispeech(tmp_path)
    folder = root / "LibriSpeech/dev-clean/19/198"
    (folder / "19-198.trans.txt").write_text("19-198-0000 HELLO\n")
    broken = root / "LibriSpeech/test-other/26/198/26-198-0001.flac"
    broken.write_bytes(b"fLaC")
    with pytest.raises(DataError) as caught:
        load_speech(librispeech(root))
    message = str(caught.value)
    assert "every file needs a transcript" in message
    assert "19-198-0001" in message
    assert "26-198-0001.flac: cannot be read" in message
    assert "set data.on_error to skip" in message


COMMANDS = ("yes", "no")


def write_commands(root):
    folder = root / "SpeechCommands" / "speech_commands_v0.02"
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word in COMMANDS:
        (folder / word).mkdir(parents=True)
        for i in range(4):
            name = f"{word}/{i}a_nohash_0.wav"
            soundfile.write(folder / name, tone(1_600, 16_000, seed=i), 16_000)
            if i >= 2:
                lists[("validation_list.txt", "testing_list.txt")[i - 2]].append(name)
    (folder / "_background_noise_").mkdir()
    soundfile.write(folder / "_background_noise_/x.wav", tone(99, 16_000, 0), 16_000)
    for name, rows in lists.items():
        (folder / name).write_text("\n".join(rows) + "\n")
    return root


def test_speech_commands_have_their_official_splits(tmp_path):
    data = SpeechCommandsData(root=str(write_commands(tmp_path)))
    dataset = load_speech(data)
    assert dataset.pretrain is dataset.train
    assert dataset.train.texts == ("no", "no", "yes", "yes")
    assert dataset.train.labels["word"] == dataset.train.texts
    assert dataset.train.labels["speaker"] == ("0a", "1a", "0a", "1a")
    assert sorted(dataset.valid.labels["speaker"]) == ["2a", "2a"]
    assert sorted(dataset.test.labels["speaker"]) == ["3a", "3a"]
    assert dataset.classes[2:] == ("e", "n", "o", "s", "y")
    assert dataset.digest == speech_digest(data)


def test_missing_speech_commands_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match="must hold SpeechCommands/speech_commands_v0"):
        load_speech(SpeechCommandsData(root=str(tmp_path)))
    root = write_commands(tmp_path)
    folder = root / "SpeechCommands/speech_commands_v0.02"
    (folder / "testing_list.txt").unlink()
    with pytest.raises(DataError, match=r"finds no Speech Commands .*testing_list"):
        speech_digest(SpeechCommandsData(root=str(root)))
