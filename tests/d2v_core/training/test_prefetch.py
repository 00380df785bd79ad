"""Batches made ahead are the same batches, in order, with their errors."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from d2v_core.encoders.inputs import Padded
from d2v_core.objectives.data2vec import MaskDraw
from d2v_core.objectives.protocol import Draw, SingleNetwork
from d2v_core.training.prefetch import Feed, with_draws

CPU = torch.device("cpu")
AHEAD = pytest.mark.parametrize("ahead", [0, 1, 2, 5])


def numbered(step):
    return torch.full((2,), float(step)), torch.tensor([step, -step]), Draw()


def feed(batches=numbered, steps=range(1, 8), *, ahead):
    return Feed(batches, steps, device=CPU, ahead=ahead)


def background_threads():
    return [t for t in threading.enumerate() if t.name.startswith("d2v-prefetch")]


@AHEAD
def test_every_batch_comes_once_in_order(ahead):
    with feed(ahead=ahead) as batches:
        found = [(n, x.tolist(), y.tolist()) for n, x, y, _ in batches]
    assert found == [(n, [n, n], [n, -n]) for n in range(1, 8)]


@AHEAD
def test_a_run_without_updates_makes_no_batch(ahead):
    with feed(steps=range(4, 4), ahead=ahead) as batches:
        assert list(batches) == []


@AHEAD
def test_rows_of_different_length_pass_through(ahead):
    rows = Padded(torch.zeros(2, 3), (3, 1))
    drawn = MaskDraw(
        torch.ones(2, 3).bool(), torch.tensor([1]), student=rows, teacher=None
    )
    with feed(lambda step: (rows, rows, drawn), ahead=ahead) as batches:
        seen = list(batches)
    assert len(seen) == 7
    for _, inputs, labels, draw in seen:
        assert inputs.lengths == labels.lengths == draw.student.lengths == (3, 1)
        assert draw.positions.tolist() == [1]


@AHEAD
def test_an_error_is_raised_at_its_own_update(ahead):
    def breaking(step):
        if step == 4:
            raise ValueError("batch 4 is broken")
        return numbered(step)

    seen = []

    def consume():
        with feed(breaking, ahead=ahead) as batches:
            for step, *_ in batches:
                seen.append(step)

    with pytest.raises(ValueError, match="batch 4 is broken"):
        consume()
    assert seen == [1, 2, 3]
    assert background_threads() == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_than_so_many_are_made_ahead_by_another_thread(ahead):
    made, makers = [], set()

    def remember(step):
        made.append(step)
        makers.add(threading.current_thread())
        return numbered(step)

    with feed(remember, ahead=ahead) as batches:
        for step, *_ in batches:
            deadline = time.monotonic() + 60
            while len(made) < min(7, step + ahead) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.005)  # it must not run further
            assert made == list(range(1, min(7, step + ahead) + 1))
    assert threading.current_thread() not in makers


def test_leaving_early_ends_the_thread():
    with feed(steps=range(1, 1000), ahead=2) as batches:
        next(iter(batches))
        assert len(background_threads()) == 1
    assert background_threads() == []


def test_waiting_is_measured_and_less_of_it_when_batches_are_made_ahead():
    made = []

    def slow(step):
        time.sleep(0.03)
        made.append(step)
        return numbered(step)

    waited = {}
    for ahead in (0, 2):
        made.clear()
        with feed(slow, ahead=ahead) as batches:
            for step, *_ in batches:  # an update takes until the next batch is made
                while ahead and step < 7 and step + 1 not in made:
                    time.sleep(0.001)
            waited[ahead] = batches.take_seconds_waited()
            assert batches.take_seconds_waited() == 0.0
    assert waited[0] >= 7 * 0.03
    assert waited[2] < waited[0] / 2


@AHEAD
def test_draws_are_made_where_the_batches_are(ahead):
    makers = set()

    class Drawing(SingleNetwork):
        module = torch.nn.ModuleDict()

        def loss(self, inputs, labels, draw, step):
            raise AssertionError

        def draw(self, inputs, step):
            makers.add(threading.current_thread())
            assert inputs.tolist() == [step, step]
            mask = torch.full((2, 1), step > 2)
            return MaskDraw(mask, torch.tensor([0]), student=None, teacher=None)

    pairs = with_draws(lambda step: numbered(step)[:2], Drawing())
    with feed(pairs, steps=range(1, 5), ahead=ahead) as batches:
        masks = [draw.mask.all().item() for *_, draw in batches]
    assert masks == [False, False, True, True]
    assert (threading.current_thread() in makers) == (ahead == 0)
