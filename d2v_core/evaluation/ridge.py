"""Ridge regression for all draws and L2 strengths, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from d2v_core.evaluation.linear import Draws, LinearFits, principal_basis


def fit_ridge(draws: Draws, strengths: Sequence[float]) -> LinearFits:
    """Minimise half the mean squared error + strength / 2 |w|^2, bias unpenalised.

    scikit-learn's ``Ridge(alpha=n * strength)`` on standardised features.

    Args:
        draws: Labels are numbers.
        strengths: All are fitted.
    """
    basis = principal_basis(draws)
    labels, weights = draws.labels.to(basis.values), draws.weights
    mean = (weights * labels).sum(dim=1, keepdim=True)
    # Columns of the basis are orthogonal: every direction is fitted on its own.
    slope = basis.values.mT @ (weights * (labels - mean))[:, :, None]
    spread = basis.values.square().mT @ weights[:, :, None]
    penalty = torch.tensor(strengths, dtype=torch.float64).to(spread)[:, None, None]
    total = spread[:, None] + penalty
    weight = torch.where(total > 0.0, slope[:, None] / total.clamp_min(1e-300), 0.0)
    shape = weight.shape[:2]
    return basis.fits(
        weight,
        mean[:, None].expand(*shape, 1),
        converged=torch.ones(shape, dtype=torch.bool, device=weight.device),
    )
