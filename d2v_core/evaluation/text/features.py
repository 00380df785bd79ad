"""Features of texts: one vector for each row, or pair of rows, of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from d2v_core.config.choices import TextPooling
from d2v_core.data.text.tasks import Samples
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.encoders.inputs import mean_over_real
from d2v_core.encoders.text import TextEncoder
from d2v_core.encoders.token_inputs import TokenRows, pad_rows
from d2v_core.evaluation.features import frozen_tokens

BATCH_SIZE = 128


def extract_features(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    samples: Samples,
    *,
    pooling: TextPooling,
    pairs: str,
    num_layers: int = 1,
) -> np.ndarray:
    """One vector per sample, float32 of shape (samples, features).

    Pairs u, v read separately give [u, v, |u - v|, u v]; read jointly, or with single
    texts, the features are as many as the encoder's channels.
    """

    def pooled(rows: Sequence[np.ndarray]) -> np.ndarray:
        return pooled_tokens(encoder, rows, pooling, num_layers=num_layers)

    rows = tokenizer.rows
    if samples.second is None:
        return pooled(rows(samples.first, encoder.max_tokens))
    if pairs == "joint":
        return pooled(
            tokenizer.pair_rows(samples.first, samples.second, encoder.max_tokens)
        )
    u, v = (
        pooled(rows(texts, encoder.max_tokens))
        for texts in (samples.first, samples.second)
    )
    return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)


def pooled_tokens(
    encoder: TextEncoder,
    rows: Sequence[np.ndarray],
    pooling: TextPooling,
    *,
    num_layers: int = 1,
) -> np.ndarray:
    """Tokens of each row as one vector, padding left out."""
    pooled = np.zeros((len(rows), encoder.dim), dtype=np.float32)
    for batch, inputs, tokens in read_rows(encoder, rows, num_layers=num_layers):
        mean = pooling == "mean"
        vectors = mean_over_real(tokens, encoder.real(inputs)) if mean else tokens[:, 0]
        pooled[batch] = vectors.float().cpu().numpy()
    return pooled


def read_rows(
    encoder: TextEncoder, rows: Sequence[np.ndarray], *, num_layers: int
) -> Iterator[tuple[np.ndarray, TokenRows, Tensor]]:
    """Indices, inputs and tokens (batch, tokens, dim) of rows of like length.

    The encoder is in evaluation mode meanwhile.
    """
    device = next(encoder.parameters()).device
    was_training = encoder.training
    encoder.eval()
    order = np.argsort([len(row) for row in rows], kind="stable")
    for start in range(0, len(rows), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        inputs = pad_rows([rows[i] for i in batch]).to(device)
        with torch.no_grad():
            tokens = frozen_tokens(encoder, inputs, num_layers=num_layers)
        yield batch, inputs, tokens
    encoder.train(was_training)
