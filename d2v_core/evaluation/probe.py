"""Linear probes on frozen features, selected on a validation split.

One probe for each labelled subset; all subsets and L2 strengths are fitted together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from d2v_core.evaluation.linear import LinearFits, stack_draws
from d2v_core.evaluation.logistic import fit_logistic
from d2v_core.evaluation.ridge import fit_ridge

CPU = torch.device("cpu")

Score = Callable[[np.ndarray, np.ndarray], float]
"""Score of labels and predictions; higher is better."""


@dataclass(frozen=True)
class Features:
    """Features and labels of one split."""

    features: np.ndarray
    labels: np.ndarray

    def subset(self, indices: np.ndarray) -> Features:
        """Take some of the samples."""
        return Features(self.features[indices], self.labels[indices])


@dataclass(frozen=True)
class FittedProbes:
    """The best of the L2 strengths, for each labelled subset.

    Attributes:
        fits: Fits of the chosen strengths.
        regression: Whether outputs are numbers, not classes.
        validation_scores: At the chosen strengths.
        l2: The chosen strengths.
        on_edge: Whether each is the smallest or largest of the grid.
        converged: Whether its fit ended before its bound on iterations.
    """

    fits: LinearFits
    regression: bool
    validation_scores: tuple[float, ...]
    l2: tuple[float, ...]
    on_edge: tuple[bool, ...]
    converged: tuple[bool, ...]

    @property
    def median_l2(self) -> float:
        """The chosen strength in the middle; of an even number, the lower of two."""
        return sorted(self.l2)[(len(self.l2) - 1) // 2]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Class indices, or numbers, of shape (draws, samples)."""
        return _outputs(self.fits, features, self.regression)[:, 0]

    def notes(self, where: str = "the probe's") -> tuple[str, ...]:
        """Remarks on the choices, one for all subsets."""
        notes = []
        if any(self.on_edge):
            often = self._often(self.on_edge)
            notes.append(f"{where} L2{often[0]} lies on the edge of its grid{often[1]}")
        failed = tuple(not converged for converged in self.converged)
        if any(failed):
            often = self._often(failed)
            at = f" at L2{often[0]}" if often[0] else ""
            notes.append(f"{where} fit{at} did not converge{often[1]}")
        return tuple(notes)

    def _often(self, which: Sequence[bool]) -> tuple[str, str]:
        """The strength of a single subset, or in how many of several."""
        if len(which) == 1:
            return f" {self.l2[0]:g}", ""
        return "", f" in {sum(which)} of {len(which)} draws"


def fit_probes(
    train: Features,
    draws: Sequence[np.ndarray],
    valid: Features,
    *,
    l2_grid: Sequence[float],
    score: Score,
    num_classes: int,
    device: torch.device = CPU,
    closed_form: bool = False,
) -> FittedProbes:
    """Multinomial logistic, or ridge, regression on standardised features.

    Features are standardised with each subset's mean and deviation. The L2 strength
    with the best validation score is used (the larger one on a tie).

    Args:
        train: Samples the subsets are taken from.
        draws: Indices of each subset.
        valid: Selects.
        l2_grid: Strengths to choose from.
        score: Score of the validation split.
        num_classes: Classes of the labels; 0: they are numbers.
        device: Computes.
        closed_form: Fit classes by ridge regression too: for many of them, and many
            samples, it takes a hundredth of the time.
    """
    regression, strengths = num_classes == 0, sorted(l2_grid, reverse=True)
    parts = [train.subset(draw) for draw in draws]
    stacked = stack_draws(
        [torch.from_numpy(part.features).to(device) for part in parts],
        [torch.from_numpy(part.labels).to(device) for part in parts],
    )
    if regression or closed_form:
        fits = fit_ridge(stacked, strengths, num_classes=num_classes)
    else:
        fits = fit_logistic(stacked, strengths, num_classes=num_classes)
    predicted = _outputs(fits, valid.features, regression)
    scores = np.array(
        [[score(valid.labels, one) for one in of_draw] for of_draw in predicted]
    )
    best = scores.argmax(axis=1)  # the first, which is the largest, on a tie
    chosen = fits.chosen(torch.from_numpy(best).to(device))
    l2 = tuple(strengths[i] for i in best)
    edges = (min(l2_grid), max(l2_grid))
    return FittedProbes(
        fits=chosen,
        regression=regression,
        validation_scores=tuple(scores.max(axis=1).tolist()),
        l2=l2,
        on_edge=tuple(len(l2_grid) > 1 and one in edges for one in l2),
        converged=tuple(chosen.converged[:, 0].tolist()),
    )


def _outputs(fits: LinearFits, features: np.ndarray, regression: bool) -> np.ndarray:
    given = torch.from_numpy(features).to(fits.weight.device)
    outputs: Tensor = fits.numbers(given) if regression else fits.classes(given)
    array: np.ndarray = outputs.cpu().numpy()
    return array


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of samples classified correctly, 0 to 1."""
    return float(np.mean(labels == predictions))
