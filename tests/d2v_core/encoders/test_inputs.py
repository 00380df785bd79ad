import torch

from d2v_core.encoders.inputs import Padded, mean_over_real, real_positions


def test_rows_of_one_length_need_no_mask():
    assert real_positions((3, 3), 3, torch.device("cpu")) is None


def test_real_positions_are_the_first_of_each_row():
    real = real_positions((3, 1), 4, torch.device("cpu"))
    assert real.tolist() == [[True, True, True, False], [True, False, False, False]]


def test_moving_a_padded_batch_leaves_its_lengths_on_the_cpu():
    batch = Padded(torch.zeros(2, 5), (5, 2))
    moved = batch.to(torch.device("meta"))
    assert (moved.device.type, moved.lengths, len(moved)) == ("meta", (5, 2), 2)


def test_the_mean_leaves_padding_out():
    tokens = torch.tensor([[[2.0], [4.0]], [[3.0], [99.0]]])
    real = torch.tensor([[True, True], [True, False]])
    assert mean_over_real(tokens, real).tolist() == [[3.0], [3.0]]
    assert mean_over_real(tokens, None).tolist() == [[3.0], [51.0]]
