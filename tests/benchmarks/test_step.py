"""Only that the benchmark runs and what it prints; times are nobody's promise."""

import pytest
import torch

from benchmarks.step import main, table


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("layer_norm", ["instance", "layer"])
def test_a_toy_run_prints_the_table(capsys, layer_norm):
    pytest.importorskip("transformers")
    options = ["--size", "toy", "--rounds", "2", "--threads", "1"]
    main([*options, "--layer-norm", layer_norm])
    printed = capsys.readouterr().out
    assert f"toy, batch 4, layer norm {layer_norm}, 1 threads, 2 rounds" in printed
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| step",
        "| ---",
        "| plain floor",
        "| d2v",
        "| Hugging Face by hand",
    ]
    assert rows[2].startswith("| plain floor | 1.000 (1.000-1.000) |")


def test_speech_has_contenders_of_its_own(capsys):
    pytest.importorskip("transformers")
    main(["--modality", "speech", "--size", "toy", "--rounds", "1", "--threads", "1"])
    rows = [x for x in capsys.readouterr().out.splitlines() if x.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| plain floor",
        "| d2v, torchaudio's convolutions",
        "| d2v",
        "| Hugging Face by hand",
    ]


@pytest.mark.parametrize("layer_norm", ["instance", "layer"])
def test_text_has_contenders_of_its_own(capsys, layer_norm):
    pytest.importorskip("transformers")
    options = ["--size", "toy", "--rounds", "1", "--threads", "1"]
    options += ["--also", "bfloat16"]
    main(["--modality", "text", *options, "--layer-norm", layer_norm])
    rows = [x for x in capsys.readouterr().out.splitlines() if x.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| plain floor",
        "| d2v",
        "| Hugging Face by hand",
        "| d2v, bfloat16",
    ]


def test_a_size_of_another_modality_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--modality", "speech", "--size", "vit-b"])
    assert "must be one of toy, 128-channels" in capsys.readouterr().err


def test_ratios_compare_times_of_the_same_round():
    times = {
        "plain floor": [(1.0, 2.0), (10.0, 2.0), (2.0, 2.0)],
        "other": [(0.5, 1.0), (10.0, 3.0), (4.0, 2.0)],
    }
    row = table(times).splitlines()[-1]
    assert row == (
        "| other | 1.000 (0.500-1.500) | 1.000 (0.500-2.000) | 2.000 | 4.000 |"
    )
