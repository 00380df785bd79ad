"""Multinomial logistic regression, all draws and L2 strengths in one go.

The problem is scikit-learn's ``LogisticRegression(C=1 / (n * strength))`` on features
standardised with the draw's samples: mean cross-entropy + strength / 2 |w|^2, bias
unpenalised, classes that a draw has not are never predicted. The method is Newton's
with conjugate gradients (Nash and Sofer 1990 say when they have done enough), which
takes directions in float32 and steps in float64, in the principal basis of each draw,
where a diagonal preconditions well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from d2v_core.evaluation.linear import Draws, LinearFits, principal_basis

MAX_STEPS = 100
"""Newton steps; a problem that needs more has not converged."""
MAX_DIRECTIONS = 300
"""Conjugate directions of a step."""
MAX_HALVINGS = 30
TOLERANCE = 1e-4
"""The last step of a converged fit promised to lower its objective by less than this
share of it; as steps converge quadratically, what is left is far less."""
FEWEST_DIRECTIONS = 6
ENOUGH = 0.2
"""Directions end when the last one did this part of what they do on average."""
LARGEST = 1 << 24
"""Logits of the problems that are solved together."""
LEAST_CURVATURE = 1e-12


def fit_logistic(
    draws: Draws,
    strengths: Sequence[float],
    *,
    num_classes: int,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> LinearFits:
    """Fit every draw with every strength.

    Args:
        draws: Labels are classes from 0.
        strengths: Strengths of the penalty; all are fitted.
        num_classes: Classes there are, in whatever draw.
        tolerance: Share of the objective that a further step may still promise.
        max_steps: Newton steps at most.
    """
    basis = principal_basis(draws)
    penalties = torch.tensor(strengths, dtype=torch.float64).to(basis.values)
    sizes = draws.labels.shape[1] * num_classes
    some_strengths = max(1, LARGEST // sizes)
    some_draws = max(1, LARGEST // (sizes * len(strengths)))
    rows = []
    for first in range(0, len(draws), some_draws):
        part = slice(first, first + some_draws)
        target = F.one_hot(draws.labels[part], num_classes).to(basis.values)
        data = _Data(
            values=F.pad(basis.values[part], (0, 1), value=1.0),
            target=target,
            weights=draws.weights[part],
        )
        pieces = [
            _solve(data, some, tolerance, max_steps)
            for some in torch.split(penalties, some_strengths)
        ]
        rows.append([torch.cat(column, dim=1) for column in zip(*pieces, strict=True)])
    weight, absent, converged = (
        torch.cat(column) for column in zip(*rows, strict=True)
    )
    bias = weight[:, :, -1].masked_fill(absent, -torch.inf)
    return basis.fits(weight[:, :, :-1], bias, converged=converged)


@dataclass(frozen=True)
class _Data:
    """Draws in their basis, with a column of ones for the bias.

    Attributes:
        values: Values of the samples.
        target: 1 at the class of each sample.
        weights: Weights of the samples, summing to 1.
    """

    values: Float[Tensor, "draws samples rank"]
    target: Float[Tensor, "draws samples classes"]
    weights: Float[Tensor, "draws samples"]

    def of(self, draws: Tensor) -> _Data:
        return _Data(self.values[draws], self.target[draws], self.weights[draws])

    def absent(self) -> Bool[Tensor, "draws classes"]:
        """Classes without a sample."""
        return (self.target * self.weights[:, :, None]).sum(dim=1) == 0


@dataclass
class _State:
    """Where some problems stand.

    Attributes:
        data: Their draws.
        penalty: On every coefficient, 0 on the bias.
        coefficients: So far.
        logits: They give.
        objective: Likewise.
        finished: Those that need no further step.
    """

    data: _Data
    penalty: Float[Tensor, "rank strengths one"]
    coefficients: Float[Tensor, "draws rank strengths classes"]
    logits: Float[Tensor, "draws samples strengths classes"]
    objective: Float[Tensor, "draws strengths"]
    finished: Bool[Tensor, "draws strengths"]


def _solve(
    data: _Data, strengths: Tensor, tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients (draws, strengths, rank, classes), absent classes, convergence."""
    num_draws, num_samples, rank = data.values.shape
    shape = (num_draws, rank, len(strengths), data.target.shape[2])
    absent = data.absent()[:, None].expand(-1, len(strengths), -1)
    penalty = strengths.repeat(rank, 1)[:, :, None]
    penalty[-1] = 0.0
    coefficients = data.values.new_zeros(shape)
    logits = data.values.new_zeros(num_draws, num_samples, *shape[2:])
    logits = logits.masked_fill(absent[:, None], -torch.inf)
    state = _State(
        data=data,
        penalty=penalty,
        coefficients=coefficients,
        logits=logits,
        objective=_objective(data, penalty, coefficients, logits),
        finished=torch.zeros_like(absent[:, :, 0]),
    )
    solved, converged = coefficients.clone(), torch.zeros_like(state.finished)
    draws = torch.arange(num_draws, device=logits.device)
    columns = torch.arange(len(strengths), device=logits.device)
    for _ in range(max_steps):
        _step(state, tolerance)
        solved[draws[:, None], :, columns] = state.coefficients.transpose(1, 2)
        converged[draws[:, None], columns] = state.finished
        open_draws, open_columns = _without_finished(state)
        draws, columns = draws[open_draws], columns[open_columns]
        if not len(draws):
            break
    return solved.transpose(1, 2), absent, converged


def _without_finished(state: _State) -> tuple[Tensor, Tensor]:
    """Drop draws and strengths that have nothing left to do; where the others are."""
    draws = (~state.finished).any(dim=1).nonzero().squeeze(1)
    columns = (~state.finished).any(dim=0).nonzero().squeeze(1)
    if len(draws) < len(state.finished):
        state.data = state.data.of(draws)
    if state.finished.shape != (len(draws), len(columns)):
        state.penalty = state.penalty[:, columns]
        state.coefficients = state.coefficients[draws][:, :, columns]
        state.logits = state.logits[draws][:, :, columns]
        state.objective = state.objective[draws][:, columns]
        state.finished = state.finished[draws][:, columns]
    return draws, columns


def _objective(
    data: _Data, penalty: Tensor, coefficients: Tensor, logits: Tensor
) -> Float[Tensor, "draws strengths"]:
    classes = data.target.argmax(dim=2)[:, :, None, None]
    log_probs = logits.log_softmax(dim=3)
    of_label = log_probs.gather(3, classes.expand(-1, -1, logits.shape[2], 1))
    entropy = -(of_label.squeeze(3) * data.weights[:, :, None]).sum(dim=1)
    return entropy + 0.5 * (penalty * coefficients.square()).sum(dim=(1, 3))


def _step(state: _State, tolerance: float) -> None:
    """One Newton step of all problems; finished ones stay where they are."""
    data = state.data
    probabilities = state.logits.softmax(dim=3)
    residual = (probabilities - data.target[:, :, None]) * data.weights[..., None, None]
    gradient = _times(data.values.mT, residual) + state.penalty * state.coefficients
    change = _direction(state, probabilities, gradient)
    moved = _times(data.values, change)
    promised = -(gradient * change).sum(dim=(1, 3))
    length = _halved(state, change, moved, promised)
    state.coefficients = state.coefficients + length[:, None, :, None] * change
    state.logits = state.logits + length[:, None, :, None] * moved
    state.objective = _objective(data, state.penalty, state.coefficients, state.logits)
    state.finished = state.finished | (promised <= 2.0 * tolerance * state.objective)


def _times(matrix: Tensor, values: Tensor) -> Tensor:
    """Matrices (draws, a, b) times (draws, b, strengths, classes)."""
    product = matrix @ values.flatten(2)
    return product.view(*product.shape[:2], *values.shape[2:])


def _halved(
    state: _State, change: Tensor, moved: Tensor, promised: Tensor
) -> Float[Tensor, "draws strengths"]:
    """Step lengths, halved until the objective falls."""
    length = torch.where(state.finished, 0.0, torch.ones_like(promised))
    # Below what float64 resolves, whether it falls is chance.
    matters = promised > 1e-13 * state.objective
    for _ in range(MAX_HALVINGS):
        by = length[:, None, :, None]
        reached = _objective(
            state.data,
            state.penalty,
            state.coefficients + by * change,
            state.logits + by * moved,
        )
        enough = reached <= state.objective - 1e-4 * length * promised
        if bool((enough | ~matters).all()):
            break
        length = torch.where(enough | ~matters, length, length / 2)
    return length


def _direction(
    state: _State, probabilities: Tensor, gradient: Tensor
) -> Float[Tensor, "draws rank strengths classes"]:
    """Where the Hessian and the gradient point, by conjugate gradients in float32."""
    values = state.data.values.float()
    weighted = (state.data.values * state.data.weights[:, :, None]).mT.float()
    p, penalty = probabilities.float(), state.penalty.float()
    diagonal = _times(weighted * values.mT, p * (1.0 - p)) + penalty
    diagonal.clamp_min_(LEAST_CURVATURE)
    scale = gradient.abs().amax(dim=(1, 3), keepdim=True).clamp_min(1e-300)
    rest = (-gradient / scale).float()
    solution = torch.zeros_like(rest)
    along = rest / diagonal
    power = (rest * along).sum(dim=(1, 3))
    gained = torch.zeros_like(power)
    live = (power > 0.0) & ~state.finished
    for count in range(1, MAX_DIRECTIONS + 1):
        bent = _times(values, along).mul_(p)
        bent = torch.addcmul(bent, p, bent.sum(dim=3, keepdim=True), value=-1)
        curved = torch.addcmul(_times(weighted, bent), penalty, along)
        curvature = (along * curved).sum(dim=(1, 3))
        live &= curvature > 0.0
        size = torch.where(live, power / curvature, 0.0)
        by = size[:, None, :, None]
        solution.addcmul_(by, along)
        rest.addcmul_(by, curved, value=-1)
        gained += size * power
        live &= (count * size * power > ENOUGH * gained) | (count < FEWEST_DIRECTIONS)
        if not bool(live.any()):
            break
        turned = rest / diagonal
        new_power = (rest * turned).sum(dim=(1, 3))
        by = torch.where(live, new_power / power, 0.0)[:, None, :, None]
        along = torch.addcmul(turned, by, along)
        power = torch.where(live, new_power, power)
    return solution.to(gradient) * scale
