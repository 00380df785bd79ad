"""A loss of guessing one of several classes, and how to see that nobody guesses.

For objectives whose labels come from the input itself: rotations, places, orders.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.objective import HeadInit
from d2v_core.objectives.parts.heads import draw_linear
from d2v_core.objectives.protocol import StepResult
from d2v_core.training.health import mean_std
from d2v_core.training.parallel import Workers

PREDICTION_STD = "prediction/std"
"""Mean over channels of the predictions' deviation over the rows of a batch: near 0
they are the same whatever the input is, which is dead."""


def guessing_head(dim: int, hidden: int, classes: int, init: HeadInit) -> nn.Sequential:
    """Two linear layers with ReLU between.

    Args:
        dim: Channels of the input.
        hidden: Channels between the two.
        classes: Classes of the guess.
        init: As in :func:`d2v_core.objectives.parts.heads.draw_linear`.
    """
    layers = nn.Linear(dim, hidden), nn.Linear(hidden, classes)
    for layer in layers:
        draw_linear(layer, init)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def guessed(
    logits: Float[Tensor, "rows classes"],
    answers: Int[Tensor, " rows"],
    workers: Workers,
) -> StepResult:
    """Cross-entropy, with the accuracy beside that of chance.

    Args:
        logits: Logits of equally likely classes.
        answers: The right classes.
        workers: Those that have the other rows of a batch.
    """
    loss = F.cross_entropy(logits.float(), answers)
    seen = logits.detach().float()

    def measure() -> dict[str, float]:
        return {
            PREDICTION_STD: mean_std(workers.gather(seen)),
            "prediction/accuracy": share_right(seen, answers, workers),
            "prediction/chance_accuracy": 1.0 / seen.shape[1],
        }

    return StepResult(loss=loss, measure=measure)


def share_right(
    logits: Float[Tensor, "rows classes"],
    answers: Int[Tensor, " rows"],
    workers: Workers,
) -> float:
    """Share of the whole batch's rows in which the largest logit is the answer's."""
    right = (logits.argmax(dim=1) == answers).float()
    counts = right.new_tensor([0.0, len(right)])
    counts[0] = right.sum()
    num_right, num_rows = workers.total(counts).tolist()
    return float(num_right / num_rows)
