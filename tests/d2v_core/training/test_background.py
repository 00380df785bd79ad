"""Tasks run in order behind the caller's back, and what they raise reaches it."""

import threading

import pytest

from d2v_core.training.background import Background


def test_tasks_run_in_order_and_leaving_waits_for_them():
    done = []
    gate = threading.Event()
    background = Background()
    with background:
        background.do(gate.wait)
        for number in range(100):
            background.do(lambda number=number: done.append(number))
        assert background.busy
        assert not done  # the caller is not held up
        gate.set()
    assert done == list(range(100))
    assert not background.busy


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0)])
def test_an_error_reaches_the_next_call_and_drops_the_rest(error):
    def fail():
        raise error

    done = []

    def use():
        with Background() as background:
            background.do(fail)
            while background.busy:
                pass
            background.do(lambda: done.append(1))

    with pytest.raises(type(error)) as raised:
        use()
    assert raised.value is error
    assert not done


def test_an_error_of_the_last_task_is_raised_on_leaving():
    def fail():
        raise OSError("disk full")

    background = Background()
    with pytest.raises(OSError, match="disk full"), background:
        background.do(fail)


def test_waiting_ends_after_its_time():
    gate = threading.Event()
    background = Background()
    with background:
        background.do(gate.wait)
        background.wait(timeout=0.05)
        assert background.busy
        gate.set()
        background.wait()
        assert not background.busy


def test_an_exception_waits_for_the_running_task_and_drops_the_others():
    done = []
    begun, gate = threading.Event(), threading.Event()

    def first():
        begun.set()
        gate.wait()
        done.append("first")

    def use():
        with Background() as background:
            background.do(first)
            background.do(lambda: done.append("second"))
            begun.wait()
            threading.Timer(0.1, gate.set).start()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        use()
    assert done == ["first"]


def test_an_exception_does_not_wait_for_ever():
    gate = threading.Event()

    def use():
        with Background(patience_seconds=0.05) as background:
            background.do(gate.wait)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        use()
    gate.set()
