"""Which tokens are encoded, where the others are left out altogether.

MAE (arXiv 2111.06377) and data2vec 2.0 (arXiv 2212.07525) encode only what the mask
leaves, and get tokens back in a shorter row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from d2v_core.encoders.inputs import Movable


@dataclass(frozen=True)
class Kept(Movable):
    """The kept tokens of each sample, in order.

    There may be several choices for each sample, one row after the other (data2vec 2.0
    has several masks): then rows of tokens are picked from as often.

    Attributes:
        index: Their positions. A row with fewer than the longest is filled up with its
            last one: a query there has something to attend to and gives no NaN.
        real: False at what fills a row up; None when all rows have as many.
    """

    index: Int[Tensor, "batch longest"]
    real: Bool[Tensor, "batch longest"] | None

    def copies(self, num_samples: int) -> int:
        """Choices for each of ``num_samples`` samples."""
        copies, rest = divmod(len(self.index), num_samples)
        assert not rest, f"{len(self.index)} choices for {num_samples} samples"
        return copies

    def pick(self, tokens: Tensor) -> Tensor:
        """The kept tokens, (choices, longest, dim), of (samples, tokens, dim)."""
        samples = torch.arange(len(tokens), device=self.index.device)
        first = samples.repeat_interleave(self.copies(len(tokens))) * tokens.shape[1]
        # Whole rows of one table: half the time of gather, forward and backward.
        return F.embedding(self.index + first[:, None], tokens.flatten(0, 1))

    def pick_pairs(self, pairs: Tensor) -> Tensor:
        """What belongs to kept queries and keys.

        Args:
            pairs: A bias or mask, (samples or 1, heads or 1, tokens or 1, tokens).
        """
        batch, longest = self.index.shape
        heads, queries, keys = pairs.shape[1:]
        if len(pairs) > 1:
            pairs = pairs.repeat_interleave(self.copies(len(pairs)), dim=0)
        picked = pairs.expand(batch, -1, -1, -1)
        if queries > 1:
            rows = self.index[:, None, :, None].expand(batch, heads, longest, keys)
            picked = picked.gather(2, rows)
        columns = self.index[:, None, None, :]
        return picked.gather(3, columns.expand(*picked.shape[:3], longest))

    def after(self, num_prefix_tokens: int) -> Kept:
        """The same among tokens that begin with some that are always kept."""
        if not num_prefix_tokens:
            return self
        prefix = torch.arange(num_prefix_tokens, device=self.index.device)
        prefix = prefix.expand(len(self.index), -1)
        index = torch.cat((prefix, self.index + num_prefix_tokens), dim=1)
        if self.real is None:
            return Kept(index, None)
        return Kept(index, torch.cat((torch.ones_like(prefix).bool(), self.real), 1))


def kept_tokens(keep: Bool[Tensor, "batch tokens"] | Kept) -> Kept:
    """The rows of a mask; made on the CPU it costs a GPU no waiting.

    Args:
        keep: True at kept tokens, real ones only, at least one in each row; or what was
            made of it before.

    Raises:
        ValueError: A row keeps nothing.
    """
    if isinstance(keep, Kept):
        return keep
    counts = keep.sum(dim=1, keepdim=True)
    fewest, longest = int(counts.min()), int(counts.max())
    if not fewest:
        raise ValueError("keep must be true somewhere in every row, one has none")
    order = keep.logical_not().byte().argsort(dim=1, stable=True)
    place = torch.arange(longest, device=keep.device)
    index = order.gather(1, place.minimum(counts - 1))
    return Kept(index, None if fewest == longest else place < counts)


def with_token(
    features: Float[Tensor, "batch tokens dim"],
    mask: Bool[Tensor, "batch tokens"] | None,
    token: Float[Tensor, " dim"],
) -> Float[Tensor, "batch tokens dim"]:
    """Features with the mask token where ``mask`` is true."""
    if mask is None:
        return features
    return torch.where(mask.unsqueeze(2), token.to(features.dtype), features)
