"""The text encoder: RoBERTa's embedding and post-norm Transformer.

Paper section 4.3; fairseq ``data2vec_text.py`` with ``layernorm_embedding``, learned
positions and ``no_scale_embedding``. Position ids count the tokens that are not
padding, from the padding id plus one, as fairseq and Hugging Face do. Departure: the
position table, like vision's, has no weight decay.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.choices import BlockNorm
from d2v_core.encoders.encoder import Tokens
from d2v_core.encoders.inputs import Padded
from d2v_core.encoders.kept import Kept, with_token
from d2v_core.encoders.sequence import SequenceEncoder
from d2v_core.encoders.token_inputs import MASK, PAD
from d2v_core.encoders.transformer import Transformer

INITIAL_STD = 0.02
"""Deviation of every matrix and embedding (BERT; fairseq ``init_bert_params``)."""


class TextEncoder(SequenceEncoder):
    """Token ids to tokens.

    Args:
        vocab_size: Rows of the token embedding, special tokens included.
        max_tokens: Longest row; the position table has two entries more, one for
            padding and one below it that is never read.
        dim: Channels.
        depth: Number of blocks.
        num_heads: Attention heads.
        ffn_dim: Hidden channels of the feed-forward parts.
        norm: ``post`` as published, or ``pre``.
        dropout: Dropout of the embedding and after each branch.
        attention_dropout: Dropout of the attention weights.
        activation_dropout: Inside the feed-forward parts.
        drop_path: Rate of the last block, rising linearly from 0.
        layerdrop: Chance that a block is skipped in an update.
        eps: Epsilon of all norms.
        mask_id: Id that the student reads at masked positions.
    """

    parts = {
        "feature_encoder": ("tokens.", "norm."),
        "positions": ("pos_embed",),
    }

    def __init__(
        self,
        *,
        vocab_size: int,
        max_tokens: int,
        dim: int,
        depth: int,
        num_heads: int,
        ffn_dim: int,
        norm: BlockNorm = "post",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        drop_path: float = 0.0,
        layerdrop: float = 0.0,
        eps: float = 1e-5,
        mask_id: int = MASK,
    ) -> None:
        super().__init__(
            Transformer(
                dim=dim,
                depth=depth,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                norm=norm,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=activation_dropout,
                drop_path=drop_path,
                layerdrop=layerdrop,
                eps=eps,
            ),
            dim,
        )
        self.vocab_size, self.max_tokens, self.mask_id = vocab_size, max_tokens, mask_id
        self.tokens = nn.Embedding(vocab_size, dim, padding_idx=PAD)
        self.pos_embed = nn.Parameter(torch.empty(max_tokens + PAD + 1, dim))
        self.norm = nn.LayerNorm(dim, eps)
        self.dropout = nn.Dropout(dropout)
        self._initialise()

    def embed(self, inputs: Padded) -> Tokens:
        """Embedded ids, and the place of each among its row's real ones."""
        ids = inputs.values
        return Tokens(self.tokens(ids), self.real(inputs), position_ids(ids))

    def placed(
        self,
        tokens: Tokens,
        mask: Bool[Tensor, "batch tokens"] | None,
        keep: Kept | None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Token embedding plus position, normalised; ``<mask>`` where ``mask`` is."""
        assert tokens.places is not None
        places = F.embedding(tokens.places, self.pos_embed, padding_idx=PAD)
        x = with_token(tokens.values, mask, self.tokens.weight[self.mask_id])
        embedded: Tensor = self.dropout(self.norm(x + places))
        return embedded

    def real(self, inputs: Any) -> Bool[Tensor, "batch tokens"] | None:
        """True at ids that are not padding; None when no row has any."""
        if min(inputs.lengths) == inputs.values.shape[1]:
            return None
        real: Tensor = inputs.values != PAD
        return real

    @torch.no_grad()
    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=INITIAL_STD)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.pos_embed, std=INITIAL_STD)
        self.tokens.weight[PAD].zero_()
        self.pos_embed[PAD].zero_()


def position_ids(ids: Int[Tensor, "batch tokens"]) -> Int[Tensor, "batch tokens"]:
    """Place of each id among its row's real ones, from ``PAD + 1``; padding ``PAD``."""
    real = ids != PAD
    return real.cumsum(dim=1) * real + PAD
