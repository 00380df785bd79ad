"""Lion, an optimiser that keeps signs (Chen et al. 2023, arXiv 2302.06675)."""

from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """``w -= rate * (sign(b1 m + (1 - b1) g) + decay * w)``; then ``m`` moves to ``g``.

    Args:
        groups: Parameters with their ``weight_decay``.
        learning_rate: At the peak; the training loop sets ``lr`` at every update.
        beta1: Share of the momentum in the sign.
        beta2: Share of the momentum that is kept.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.99,
    ) -> None:
        super().__init__(groups, {"lr": learning_rate, "betas": (beta1, beta2)})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("m", torch.zeros_like(weight))
                direction = momentum.lerp(weight.grad, 1.0 - beta1).sign_()
                weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                weight.sub_(direction, alpha=group["lr"])
                momentum.lerp_(weight.grad, 1.0 - beta2)
