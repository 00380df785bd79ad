"""Manifests by configuration, and batches."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2v_core.config.speech_data import ManifestData, WaveformConfig
from d2v_core.data.speech.dataset import (
    POOL,
    SpeechBatches,
    check_shortest,
    encode,
    load_speech,
    prepared,
    speech_digest,
)
from d2v_core.data.speech.utterances import (
    ArrayAudio,
    SpeechDataset,
    Utterances,
    ctc_classes,
)
from d2v_core.errors import DataError
from tests.d2v_core.data.speech.trees import (
    WORDS,
    write_audio,
    write_manifest,
    write_splits,
)


def manifests(root, **changes) -> ManifestData:
    return ManifestData(root=str(root), **changes)


def test_manifests_load_at_sixteen_kilohertz(tmp_path):
    data = manifests(write_splits(tmp_path, rate=8_000))
    dataset = load_speech(data)
    assert dataset.train.audio.lengths.tolist() == [3_200, 3_520, 3_840]
    assert dataset.train.texts == WORDS
    assert dataset.train.labels == {"speaker": ("s0", "s1", "s0")}
    assert dataset.classes == ("<blank>", "|", *"EFHNORTUW")
    assert dataset.digest == speech_digest(data)
    assert dataset.notes == ()


def test_pre_training_can_read_another_folder(tmp_path):
    write_splits(tmp_path / "a")
    write_manifest(tmp_path / "b", "all", 5, words=False)
    names = {split: f"a/{split}" for split in ("train", "valid", "test")}
    dataset = load_speech(manifests(tmp_path, pretrain="b/all", **names))
    assert len(dataset.pretrain) == 5
    assert dataset.pretrain.texts is None
    assert len(dataset.train) == 3
    assert dataset.name == "manifests b/all, a/train"


def break_everything(root) -> list[str]:
    write_splits(root)
    (root / "wav/train-0.wav").unlink()
    (root / "wav/train-1.wav").write_bytes(b"")
    write_audio(root / "wav/valid-0.wav", 1_599)
    write_audio(root / "wav/test-2.wav", 1_920, rate=8_000)
    (root / "valid.wrd").write_text("ONE\n")
    return [
        "train-0.wav: there is no such file",
        "train-1.wav: cannot be read",
        "valid-0.wav: must have the manifest's 1600 samples, has 1599",
        "test-2.wav: must be sampled at 16000 Hz, is at 8000",
        "valid.wrd: must have one line for each of 3 files of the manifest, has 1",
    ]


def test_everything_that_is_broken_is_named_at_once(tmp_path):
    reasons = break_everything(tmp_path)
    with pytest.raises(DataError) as caught:
        load_speech(manifests(tmp_path, sample_rate_hz=16_000))
    for reason in reasons:
        assert reason in str(caught.value)
    assert "set data.on_error to skip to leave audio files out" in str(caught.value)


def test_broken_files_can_be_left_out_and_are_counted(tmp_path):
    break_everything(tmp_path)
    (tmp_path / "valid.wrd").write_text("\n".join(WORDS))
    data = manifests(tmp_path, sample_rate_hz=16_000, on_error="skip")
    dataset = load_speech(data)
    assert dataset.train.texts == ("FOUR",)
    assert dataset.train.labels["speaker"] == ("s0",)
    assert dataset.train.audio.lengths.tolist() == [1_920]
    assert dataset.test.texts == WORDS[:2]
    assert dataset.notes[0].startswith(
        "2 of 3 audio files of train left out: train-0.wav there is no such file; "
    )
    assert len(dataset.notes) == 3


def test_lines_that_do_not_match_cannot_be_skipped(tmp_path):
    write_splits(tmp_path)
    (tmp_path / "valid.wrd").write_text("ONE\n")
    with pytest.raises(DataError, match=r"valid\.wrd: must have one line for each"):
        load_speech(manifests(tmp_path, on_error="skip"))


def test_a_split_without_any_whole_file_is_refused(tmp_path):
    write_splits(tmp_path)
    for file in (tmp_path / "wav").glob("valid*"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="valid: no file of this split can be used"):
        load_speech(manifests(tmp_path, on_error="skip"))


def test_the_digest_follows_audio_and_transcripts(tmp_path):
    data = manifests(write_splits(tmp_path))
    first = speech_digest(data)
    assert speech_digest(data) == first
    write_audio(tmp_path / "wav/test-0.wav", 1_600, seed=99)
    second = speech_digest(data)
    (tmp_path / "train.wrd").write_text("ONE\nTWO\nSIX\n")
    assert len({first, second, speech_digest(data)}) == 3


# --- batches -----------------------------------------------------------------------


def small_speech(lengths, seed=0) -> SpeechDataset:
    lengths = np.array(lengths, np.int64)
    generator = np.random.default_rng(seed)
    # Each utterance ramps through numbers of its own, so that crops can be recognised.
    starts = np.repeat(10 * np.arange(len(lengths)), lengths)
    samples = starts + generator.random(lengths.sum())
    texts = tuple(WORDS[i % 3] for i in range(len(lengths)))
    split = Utterances(ArrayAudio(samples.astype(np.float32), lengths), texts, {})
    return SpeechDataset(
        name="ramps",
        digest="0" * 16,
        classes=ctc_classes(texts),
        pretrain=split,
        train=split,
        valid=split,
        test=split,
    )


RAW = WaveformConfig(min_seconds=0.0, max_seconds=20.0, normalise=False)


def batches(lengths, batch_size=2, seed=0, cropped=True, **waveform):
    return SpeechBatches(
        dataset=small_speech(lengths),
        batch_size=batch_size,
        seed=seed,
        waveform=WaveformConfig(**{**RAW.model_dump(), **waveform}),
        cropped=cropped,
    )


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=2, max_size=12),
    batch_size=st.integers(2, 5),
    limit=st.integers(1, 80),
    step=st.integers(1, 40),
)
def test_a_batch_is_cropped_to_its_shortest_utterance(lengths, batch_size, limit, step):
    make = batches(lengths, batch_size, max_seconds=limit / 16_000)
    inputs, labels = make(step)
    indices = make.indices(step)
    size = min(limit, *(lengths[i] for i in indices))
    assert inputs.values.shape == (batch_size, size)
    assert inputs.lengths == (size,) * batch_size
    assert labels.values.shape == (batch_size, 0)
    audio = make.dataset.pretrain.audio
    for row, i in zip(inputs.values, indices, strict=True):
        wave = torch.from_numpy(audio.read(int(i)))
        windows = wave.unfold(0, size, 1)
        assert bool((windows == row).all(dim=1).any())


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=2, max_size=12),
    batch_size=st.integers(2, 5),
    step=st.integers(1, 40),
)
def test_whole_utterances_are_padded_with_zeros(lengths, batch_size, step):
    make = batches(lengths, batch_size, cropped=False, max_seconds=10 / 16_000)
    inputs, labels = make(step)
    indices = make.indices(step)
    assert inputs.lengths == tuple(lengths[i] for i in indices)
    assert inputs.values.shape == (batch_size, max(inputs.lengths))
    classes = make.dataset.classes
    for k, i in enumerate(indices):
        wave = make.dataset.train.audio.read(int(i))
        assert torch.equal(inputs.values[k, : lengths[i]], torch.from_numpy(wave))
        assert not inputs.values[k, lengths[i] :].any()
        text = "".join(classes[c] for c in labels.values[k, : labels.lengths[k]])
        assert text == WORDS[i % 3].replace(" ", "|")


@settings(max_examples=10)
@given(st.integers(2, 20), st.integers(2, 4), st.integers(1, 2))
def test_every_pass_reads_every_utterance_once(num_utterances, batch_size, passes):
    make = batches(list(range(5, 5 + num_utterances)), batch_size)
    # Pools end together with passes after this many updates.
    steps = POOL * num_utterances * passes
    read = np.concatenate([make.indices(step) for step in range(1, steps + 1)])
    counts = np.bincount(read, minlength=num_utterances)
    assert set(counts.tolist()) == {POOL * batch_size * passes}


def test_batches_are_a_function_of_seed_and_update():
    lengths = list(range(20, 60))
    first, again, other = (batches(lengths, 4, seed=s) for s in (0, 0, 1))
    assert torch.equal(first(7)[0].values, again(7)[0].values)
    assert any(
        first(step)[0].values.shape != other(step)[0].values.shape
        or not torch.equal(first(step)[0].values, other(step)[0].values)
        for step in range(1, 4)
    )


def test_utterances_of_a_batch_are_about_equally_long():
    lengths = list(np.random.default_rng(0).integers(10, 1000, 400))
    make = batches(lengths, 8)
    spread = [np.ptp(np.array(lengths)[make.indices(step)]) for step in range(1, 33)]
    assert np.mean(spread) < 250  # 8 at random would spread over about 770


def test_short_utterances_are_left_out_unless_all_are_short():
    make = batches([10, 20, 30, 40], min_seconds=25 / 16_000)
    read = {int(i) for step in range(1, 9) for i in make.indices(step)}
    assert read == {2, 3}
    make = batches([10, 20, 30, 40], min_seconds=1.0)
    assert {int(i) for step in range(1, 9) for i in make.indices(step)} == {0, 1, 2, 3}
    make = batches([10, 20, 30, 40], min_seconds=25 / 16_000, cropped=False)
    assert {int(i) for step in range(1, 9) for i in make.indices(step)} == {0, 1, 2, 3}


def test_an_utterance_is_normalised_before_it_is_cropped():
    dataset = small_speech([400])
    wave = prepared(dataset.train.audio.read(0), WaveformConfig())
    assert wave.mean() == pytest.approx(0.0, abs=1e-4)
    assert wave.std() == pytest.approx(1.0, abs=1e-3)
    layer_norm = torch.nn.functional.layer_norm  # what fairseq does
    raw = torch.from_numpy(dataset.train.audio.read(0))
    np.testing.assert_allclose(wave, layer_norm(raw, raw.shape).numpy(), atol=1e-3)
    silence = prepared(np.zeros(10, np.float32), WaveformConfig())
    assert not silence.any()


def test_characters_that_training_never_saw_are_left_out():
    dataset = small_speech([10, 10, 10])
    labels = encode(("ONE", "QUEEN TWO"), dataset)
    spelt = [
        "".join(dataset.classes[c] for c in row[:n])
        for row, n in zip(labels.values, labels.lengths, strict=True)
    ]
    assert spelt == ["ONE", "UEEN|TWO"]
    assert labels.values[0, 3:].tolist() == [0] * 5


# --- the real sets -----------------------------------------------------------------

NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("D2V_DATA"), reason="D2V_DATA names no real data"
)


def real(folder: str, **names: str) -> ManifestData:
    root = os.environ["D2V_DATA"]
    return ManifestData(root=root, folder=f"speech/{folder}", **names)


@pytest.mark.data
@NEEDS_DATA
def test_real_spoken_digits_load():
    dataset = load_speech(real("fsdd", sample_rate_hz=8_000))
    sizes = [len(split) for split in (dataset.train, dataset.valid, dataset.test)]
    assert sizes == [2_400, 300, 300]
    assert dataset.classes[2:] == tuple("EFGHINORSTUVWXZ")
    assert len(set(dataset.train.labels["speaker"])) == 6
    assert dataset.test.texts is not None
    assert dataset.test.texts[0] == "ZERO"
    assert dataset.test.audio.lengths[0] == 2 * 2_384  # 8 kHz on disk
    minutes = sum(s.audio.lengths.sum() for s in (dataset.train, dataset.valid)) / 16e3
    assert 15 < minutes / 60 < 25


@pytest.mark.data
@NEEDS_DATA
def test_real_librispeech_mini_loads():
    data = real(
        "librispeech-mini",
        pretrain="pretrain_train",
        train="sid_train",
        valid="sid_valid",
        test="sid_test",
    )
    dataset = load_speech(data)
    assert dataset.classes == ()
    assert len(set(dataset.train.labels["speaker"])) == 10
    assert dataset.pretrain.audio.lengths.sum() / 16_000 > 30 * 60
    make = SpeechBatches(
        dataset=dataset, batch_size=4, seed=0, waveform=WaveformConfig()
    )
    inputs, _ = make(1)
    assert inputs.values.shape[1] >= 2 * 16_000
    assert bool(torch.isfinite(inputs.values).all())


def test_an_inventory_counts_utterances_and_names_odd_letters(tmp_path):
    write_splits(tmp_path)
    (tmp_path / "wav/valid-0.wav").write_bytes(b"")
    (tmp_path / "test.wrd").write_text("ONE\nTWO XYZ\nFOUR\n")
    (tmp_path / "test.ltr").unlink()
    inventory = load_speech(manifests(tmp_path, on_error="skip")).inventory
    assert inventory.used == {"train": 3, "valid": 2, "test": 3}
    assert inventory.left_out == {"broken or too short": 1}
    (sentence,) = inventory.suspicious
    assert sentence.endswith("of the letters of test do not stand in train: X, Y, Z")


def test_short_utterances_are_named_or_left_out_before_training(tmp_path):
    write_splits(tmp_path)
    with pytest.raises(DataError, match=r"wav: must have 1700 samples at 16 kHz"):
        load_speech(manifests(tmp_path), least_samples=1_700)
    dataset = load_speech(manifests(tmp_path, on_error="skip"), least_samples=1_700)
    assert dataset.test.texts == WORDS[1:]
    assert dataset.notes[0].startswith("1 of 3 audio files of train left out: train-0")


def test_pre_training_on_short_utterances_is_refused(tmp_path):
    dataset = load_speech(manifests(write_splits(tmp_path)))
    all_short = WaveformConfig(min_seconds=2.0)  # then all are read
    check_shortest(dataset, all_short, 1_600)
    with pytest.raises(DataError, match=r"waveform\.min_seconds: .* 1 of 3 that"):
        check_shortest(dataset, all_short, 1_700)
    check_shortest(dataset, WaveformConfig(min_seconds=0.105), 1_700)
