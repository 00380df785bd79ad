"""What ``d2v train`` says while it trains."""

from __future__ import annotations

from d2v_cli.train import progress_line
from d2v_core.training.events import Progress, Started


def test_a_line_has_progress_an_estimate_and_three_metrics_that_matter() -> None:
    started = Started(step=20, num_steps=100, num_parameters=1, seconds=4.0)
    metrics = {
        **{"optimizer/learning_rate": 0.1, "teacher/tau": 0.9, "target/std": 0.5},
        **{"train/grad_norm": 2.0, "train/loss": 0.034567, "prediction/gain": 0.7},
    }
    line = progress_line(Progress(60, metrics, seconds=24.0), started)
    how_far = " 60/100  60 %  0:24  ETA 0:20"
    assert line == f"{how_far}  loss 0.03457  target/std 0.5  prediction/gain 0.7"


def test_an_objective_without_targets_shows_what_it_has() -> None:
    started = Started(step=0, num_steps=10, num_parameters=1)
    metrics = {"optimizer/learning_rate": 0.1, "train/loss": 1.0}
    line = progress_line(Progress(10, metrics, seconds=5.0), started)
    assert line.startswith("10/10 100 %  0:05  ETA 0:00  loss 1  ")
    assert line.endswith("optimizer/learning_rate 0.1")
