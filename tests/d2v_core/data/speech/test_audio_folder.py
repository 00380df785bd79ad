import numpy as np
import pytest
import soundfile

from d2v_core.config import parse_trial
from d2v_core.config.speech_data import AudioFolderData
from d2v_core.data.speech.audio_files import decode_audio
from d2v_core.data.speech.audio_folder import cut, load_audio_folder
from d2v_core.data.speech.utterances import AudioFile
from d2v_core.errors import DataError
from d2v_core.evaluation.rank import NO_LABELS
from d2v_core.modalities import modality_of
from d2v_core.trial import run_trial
from tests.d2v_core.data.speech.trees import write_audio
from tests.d2v_core.small_speech import SMALL_SPEECH


def recordings(root, count=6):
    """Two rates, wav and flac, flat and nested, 0.1 s to 0.2 s each."""
    for i in range(count):
        rate, folder = (8_000, root / "old") if i % 2 else (22_050, root)
        suffix = "flac" if i % 3 else "wav"
        write_audio(folder / f"{i}.{suffix}", rate // (5 + i), rate=rate, seed=i)
    return root


def load(root, **changes):
    return load_audio_folder(AudioFolderData(folder=str(root), **changes))


def test_a_folder_of_any_rates_is_read_whole_without_labels(tmp_path):
    (recordings(tmp_path) / "notes.txt").write_text("no audio")
    dataset = load(tmp_path)
    assert (len(dataset.pretrain), len(dataset.valid), len(dataset.test)) == (3, 3, 0)
    assert not dataset.labelled
    assert dataset.classes == ()
    seconds = np.sort([*dataset.train.audio.lengths, *dataset.valid.audio.lengths])
    expected = [16_000 // n for n in (10, 9, 8, 7, 6, 5)]
    np.testing.assert_allclose(seconds, expected, atol=3)
    assert dataset.inventory.left_out == {"with unknown suffix .txt": 1}
    assert any("only 6 recordings: enough to try" in note for note in dataset.notes)


def test_a_long_file_is_read_in_pieces_that_are_the_whole(tmp_path):
    write_audio(tmp_path / "long.wav", 40_001, seed=1)
    pieces = cut([tmp_path / "long.wav"], 1.0)
    assert len(pieces) == 3
    waves = [decode_audio(piece) for piece in pieces]
    whole = decode_audio(AudioFile(tmp_path / "long.wav"))
    assert np.array_equal(np.concatenate(waves), whole)
    assert max(map(len, waves)) <= 16_000
    write_audio(tmp_path / "short.wav", 8_000)
    dataset = load(tmp_path, piece_seconds=1.0)
    assert dataset.inventory.unit == "pieces of audio files"
    sizes = {len(dataset.train), len(dataset.valid)}
    assert sizes == {1, 3}, "the pieces of a file are on one side"
    assert "1 of 2 files" in dataset.notes[0]


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_file_is_refused_in_a_sentence(tmp_path, count):
    with pytest.raises(DataError, match=f"at least 2 audio files .* found {count}$"):
        load(recordings(tmp_path, count))


def test_broken_files_are_named_or_left_out(tmp_path):
    (recordings(tmp_path) / "bad.wav").write_text("no audio")
    with pytest.raises(DataError, match=r"bad.wav: cannot be read"):
        load(tmp_path)
    dataset = load(tmp_path, on_error="skip")
    assert len(dataset.train) + len(dataset.valid) == 6
    assert any("1 of 7 audio files" in note for note in dataset.notes)


def test_a_claim_of_endless_audio_is_not_cut_up(tmp_path, monkeypatch):
    write_audio(tmp_path / "a.wav", 16_000)
    header = soundfile.info(tmp_path / "a.wav")
    header.frames = 10**12
    monkeypatch.setattr(soundfile, "info", lambda path: header)
    assert cut([tmp_path / "a.wav"], 1.0) == [AudioFile(tmp_path / "a.wav")]


def trial_of(root, **evaluation):
    data = {"source": "audio_folder", "folder": str(root)}
    settings = {**SMALL_SPEECH, "data": data}
    settings["evaluation"] = {**settings.get("evaluation", {}), **evaluation}
    return parse_trial(settings)


def test_a_trial_without_labels_gives_rankme_and_says_why(tmp_path):
    trial = trial_of(recordings(tmp_path))
    assert not trial.has_labels
    finished = list(run_trial(trial))[-1]
    scores = [name for name in finished.metrics if name.startswith("eval/")]
    assert scores == ["eval/rankme"]
    assert NO_LABELS in finished.notes


def test_another_set_is_probed(tmp_path):
    digits = {
        "source": "spoken_digits",
        "num_train": 12,
        "num_valid": 10,
        "num_test": 10,
    }
    plain = trial_of(recordings(tmp_path))
    probed = trial_of(tmp_path, data=digits, num_labels=None, num_label_draws=1)
    modality = modality_of(probed)
    assert modality.training_digest(probed) == modality.data_digest(plain)
    assert modality.data_digest(probed) != modality.data_digest(plain)
    scores = list(run_trial(probed))[-1].metrics
    assert {"eval/rankme", "eval/word_error_rate"} <= set(scores)
