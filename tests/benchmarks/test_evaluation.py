"""Only that both ways agree and what is printed; times are nobody's promise."""

import pytest
import torch

from benchmarks.evaluation import main


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_two_draws_print_a_row(capsys):
    main(["--modality", "vision", "--labels", "30", "--draws", "2"])
    row = capsys.readouterr().out.splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "vision, 2 × 30"
    theirs, ours = map(float, cells[5].split(" / "))
    assert theirs == pytest.approx(ours, abs=2.0)
    theirs, ours = map(float, cells[6].split(" / "))
    assert theirs == pytest.approx(ours, abs=0.2)
