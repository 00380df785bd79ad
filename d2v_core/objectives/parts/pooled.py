"""Functions of a mean over the whole batch, when a worker has some of its rows.

Workers' losses are averaged with the weight of their terms, which is right for means
and wrong for what bends them: the entropy of the codes in use, the deviation of the
predictions. Here such a function is taken of the mean over all workers; its value is
the same for each, and its gradient is that of each worker's own rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from d2v_core.training.parallel import Workers


def of_whole_mean(
    function: Callable[[Tensor, Tensor], Tensor],
    rows: Float[Tensor, "rows ..."],
    workers: Workers,
    num_terms: int | None = None,
) -> Float[Tensor, ""]:
    """``function`` of the mean over the rows of all workers, and of their number.

    Args:
        function: To a scalar.
        rows: This worker's.
        workers: Those that have the others.
        num_terms: The worker's weight, :attr:`StepResult.num_terms`; None: its rows.
    """
    mean, num_rows = rows.mean(dim=0), rows.new_tensor(len(rows))
    if workers.count == 1:
        return function(mean, num_rows)
    own = torch.stack((num_rows, num_rows if num_terms is None else
                       rows.new_tensor(num_terms)))  # fmt: skip
    sums = torch.cat((own, (mean.detach() * num_rows).flatten()))
    all_rows, all_terms, *_ = workers.total(sums)
    whole = (sums[2:] / all_rows).view_as(mean).requires_grad_()
    with torch.enable_grad():
        value = function(whole, all_rows)
    (slope,) = torch.autograd.grad(value, whole)
    # The workers' average gives this one's gradient the weight of its terms.
    weight = (own[0] / all_rows) / (own[1] / all_terms)
    linear = weight * (slope * mean).sum()
    result: Tensor = value.detach() + linear - linear.detach()
    return result
