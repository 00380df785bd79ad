"""Ridge regression for all draws and L2 strengths, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from d2v_core.evaluation.linear import Draws, LinearFits, principal_basis


def fit_ridge(
    draws: Draws, strengths: Sequence[float], *, num_classes: int = 0
) -> LinearFits:
    """Minimise half the mean squared error + strength / 2 |w|^2, bias unpenalised.

    scikit-learn's ``Ridge(alpha=n * strength)`` on standardised features. With classes,
    there is an output for each, 1 for its samples and 0 for others: the largest one
    tells the class, as in ``RidgeClassifier``.

    Args:
        draws: Labels are numbers, or classes from 0.
        strengths: All are fitted.
        num_classes: 0: labels are numbers.
    """
    basis = principal_basis(draws)
    if num_classes:
        targets = F.one_hot(draws.labels, num_classes).to(basis.values)
    else:
        targets = draws.labels.to(basis.values)[:, :, None]
    weights = draws.weights[:, :, None]
    mean = (weights * targets).sum(dim=1, keepdim=True)
    # Columns of the basis are orthogonal: every direction is fitted on its own.
    slope = basis.values.mT @ (weights * (targets - mean))
    spread = basis.values.square().mT @ weights
    penalty = torch.tensor(strengths, dtype=torch.float64).to(spread)[:, None, None]
    total = spread[:, None] + penalty
    weight = torch.where(total > 0.0, slope[:, None] / total.clamp_min(1e-300), 0.0)
    shape = weight.shape[:2]
    return basis.fits(
        weight,
        mean.expand(-1, shape[1], -1),
        converged=torch.ones(shape, dtype=torch.bool, device=weight.device),
    )
