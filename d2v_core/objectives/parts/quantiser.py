"""wav2vec 2.0's product quantiser: a code of each book, chosen by Gumbel softmax.

Baevski et al. 2020 (arXiv 2006.11477) section 2 and equation 1; fairseq
``modules/gumbel_vector_quantizer.py``. The noise is an argument. The perplexity that
the diversity loss is about is that of the softmax without noise, averaged over the
frames (section 2, equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Quantised:
    """What became of frames.

    Attributes:
        vectors: The chosen entries side by side.
        chosen: Their numbers.
        logits: Logits of all entries, without noise.
    """

    vectors: Float[Tensor, "rows code_width"]
    chosen: Int[Tensor, "rows groups"]
    logits: Float[Tensor, "rows groups codes"]


class GumbelQuantiser(nn.Module):
    """Frames to one entry of each of several code books, side by side.

    Args:
        dim: Channels of a frame.
        num_groups: Code books.
        num_codes: Entries of each.
        code_width: Channels of the result; divisible by ``num_groups``.
    """

    def __init__(
        self, *, dim: int, num_groups: int, num_codes: int, code_width: int
    ) -> None:
        super().__init__()
        self.num_groups, self.num_codes = num_groups, num_codes
        self.choose = nn.Linear(dim, num_groups * num_codes)
        self.codes = nn.Parameter(
            torch.empty(num_groups, num_codes, code_width // num_groups)
        )
        # fairseq: normal of deviation 1, biases 0, codes uniform in [0, 1).
        nn.init.normal_(self.choose.weight)
        nn.init.zeros_(self.choose.bias)
        nn.init.uniform_(self.codes)

    def forward(
        self,
        frames: Float[Tensor, "rows dim"],
        noise: Float[Tensor, "rows groups codes"],
        temperature: float,
    ) -> Quantised:
        """The best codes, with the gradient of the softmax.

        Args:
            frames: What is quantised.
            noise: Noise of Gumbel's distribution.
            temperature: Temperature of the softmax: near 0 it is the choice itself.
        """
        logits = self.choose(frames).float()
        logits = logits.view(-1, self.num_groups, self.num_codes)
        soft = ((logits + noise) / temperature).softmax(dim=2)
        chosen = soft.argmax(dim=2)
        hard = F.one_hot(chosen, self.num_codes).to(soft.dtype)
        hard = hard - soft.detach() + soft
        vectors = torch.einsum("rgc,gcw->rgw", hard, self.codes.float())
        return Quantised(vectors.flatten(1).to(frames.dtype), chosen, logits)


def perplexities(
    mean_probabilities: Float[Tensor, "groups codes"],
) -> Float[Tensor, " groups"]:
    """Exponential of the entropy of each book: how many codes are in use."""
    entropies: Tensor = torch.special.entr(mean_probabilities).sum(dim=1)
    return entropies.exp()


def chosen_counts(
    logits: Float[Tensor, "rows groups codes"],
) -> Float[Tensor, "groups codes"]:
    """How often each code has the largest logit."""
    best: Int[Tensor, "rows groups"] = logits.argmax(dim=2)
    return F.one_hot(best, logits.shape[2]).sum(dim=0).float()
