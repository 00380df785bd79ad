"""Several processes train one trial: each has its rows of every batch.

Data parallel, yet the same trial: every draw is a function of seed, stream and update
(:mod:`d2v_core.randomness`), so each worker draws order, masks and augmentation for
the whole batch and keeps its own rows. Losses and gradients are summed over the workers
with the weight of their masked positions, metrics and batch norms are those of the
whole batch. What remains is rounding; only dropout and its relatives draw other values
in each worker. ``torch.distributed`` carries it, by gloo or NCCL.

Gradients travel together after the backward pass, in float32, not bucket by bucket
during it as in ``DistributedDataParallel``: nothing has to be known of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn


class PeerLostError(RuntimeError):
    """Another worker of the trial is gone, or is not where this one is."""


@dataclass(frozen=True)
class Workers:
    """The processes that train a trial together, as one of them sees them.

    With a count above 1 all methods but :meth:`rows`, :meth:`stream` wait for the
    others, and raise :class:`PeerLostError` when one of them is gone.

    Attributes:
        rank: Which of them this is, from 0; the first writes, evaluates and decides.
        count: How many there are; they are torch's default process group.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> Workers:
        """Those of the process group this process has joined."""
        return cls(dist.get_rank(), dist.get_world_size())

    def whole(self, num_rows: int) -> int:
        """Rows of all workers, when this one has ``num_rows``."""
        return num_rows * self.count

    def rows(self, num_rows: int) -> slice:
        """Which of ``num_rows`` rows of a whole batch are this worker's."""
        share, rest = divmod(num_rows, self.count)
        assert not rest, f"{num_rows} rows for {self.count} workers"
        return slice(self.rank * share, (self.rank + 1) * share)

    def stream(self, name: str) -> str:
        """A random stream of this worker's own; the first one's has no other name."""
        return f"{name}/{self.rank}" if self.rank else name

    def total(self, values: Tensor) -> Tensor:
        """Sum over the workers, in place; the same bits for each of them."""
        if self.count > 1:
            with _together():
                dist.all_reduce(values)
        return values

    def gather(self, rows: Float[Tensor, "rows dim"]) -> Float[Tensor, "all dim"]:
        """The rows of all workers, in their order; each may have another number."""
        if self.count == 1:
            return rows
        counts = rows.new_zeros(self.count, dtype=torch.int64)
        counts[self.rank] = len(rows)
        longest = int(self.total(counts).max())
        padded = rows.new_zeros(longest, *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        with _together():
            dist.all_gather(parts, padded)
        return torch.cat([p[:n] for p, n in zip(parts, counts.tolist(), strict=True)])

    def from_first(self, value: int) -> int:
        """What the first worker passes here."""
        if self.count == 1:
            return value
        on_gpu = dist.get_backend() == "nccl"
        sent = torch.tensor(value, device="cuda" if on_gpu else "cpu")
        with _together():
            dist.broadcast(sent, 0)
        return int(sent)

    def check_step(self, step: int) -> None:
        """Make sure that all have done as many updates, before they train.

        Raises:
            PeerLostError: They have read different checkpoints.
        """
        if (first := self.from_first(step)) != step:
            raise PeerLostError(
                f"worker {self.rank} starts at update {step}, the first at {first}"
            )

    @torch.no_grad()
    def combine(
        self,
        parameters: Sequence[nn.Parameter],
        loss: Float[Tensor, ""],
        num_terms: int,
    ) -> Float[Tensor, ""]:
        """Make the gradients those of the whole batch's loss, which is returned.

        Args:
            parameters: Those without a gradient in any worker keep none.
            loss: Loss of this worker's rows.
            num_terms: Terms of which it is the mean: its weight.
        """
        if self.count == 1:
            return loss
        trained = [p for p in parameters if p.requires_grad]
        has = torch.tensor([p.grad is not None for p in trained]).to(loss)
        parts = [torch.ones_like(loss).view(1), loss.view(1), has]
        parts += [(torch.zeros_like(p) if p.grad is None else p.grad) for p in trained]
        sums = self.total(torch.cat([part.flatten() for part in parts]) * num_terms)
        means = sums / sums[0]
        sizes = [p.numel() for p in trained]
        _, mean, shares, *grads = torch.split(means, [1, 1, len(has), *sizes])
        for parameter, grad, share in zip(trained, grads, shares, strict=True):
            if parameter.grad is not None or float(share) > 0.0:
                parameter.grad = grad.view_as(parameter)
        return mean.view(())


ALONE = Workers()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(f"the other workers do not answer: {error}") from error
