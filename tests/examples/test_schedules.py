"""examples/schedules.py: tau and learning rate of one's own."""

import pytest

from d2v_core.build import check_buildable
from d2v_core.errors import ConfigError
from d2v_core.objectives.configured import build_tau
from d2v_core.training.optimizer import build_learning_rate
from d2v_core.training.own import own_decay
from tests.examples.places import small_vision, trained

TAU_PATH = "teacher.tau.function"
TAU = {
    "teacher.tau.kind": "own",
    "teacher.tau.function": "schedules.py:stepped_tau",
    "teacher.tau.settings.taus": [0.5, 0.7, 0.9],
}
DECAY = {"optimizer.decay": "schedules.py:stepped_decay", "optimizer.warmup": 0}


def test_tau_and_learning_rate_are_what_the_example_says() -> None:
    trial = small_vision({**TAU, **DECAY})
    tau = build_tau(trial)
    assert [tau(step) for step in range(1, 7)] == [0.5, 0.5, 0.7, 0.7, 0.9, 0.9]
    rate = build_learning_rate(trial.optimizer, 5, own_decay(trial))
    peak, final = trial.optimizer.learning_rate, trial.optimizer.final_learning_rate
    halvings = [1, 2, 3, 4, 4]
    expected = [final + (peak - final) * 0.5**count for count in halvings]
    assert [rate(step) for step in range(1, 6)] == pytest.approx(expected)


def test_it_trains_with_both() -> None:
    losses, _ = trained(small_vision({**TAU, **DECAY}))
    assert len(losses) == 6


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        (
            "teacher.tau.function",
            "def f(a, b): return 1.5",
            "gave 1.5 at update 1",
        ),
        (
            "teacher.tau.function",
            "def f(a, b): return 'x'",
            "gave 'x' at update 1",
        ),
        (TAU_PATH, "def f(step): return 1", "too many positional"),
        ("optimizer.decay", "def f(p): return p * 2", "gave 1.002 at progress 0.501"),
        ("optimizer.decay", "def f(p): return None", "gave None at progress 0"),
    ],
)
def test_what_is_no_schedule_is_refused(path, source, message, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(source)
    kind = {"teacher.tau.kind": "own"} if path.endswith("function") else {}
    trial = small_vision({**kind, path: "mine.py:f"}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_buildable(trial)
    assert str(caught.value).startswith(f"{path}: must be a ")
    assert message in str(caught.value)
