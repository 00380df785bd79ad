"""Fine-tuning on a task of texts, as RoBERTa does it.

fairseq ``examples/roberta/config/finetuning``, ``RobertaClassificationHead``. A
regression's labels are standardised (fairseq divides STS-B's by 5) and fitted by
squared error. Departure: each task has its own learning rate, where the paper takes one
for all (section 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.config.fine_tuning import FineTuningConfig
from d2v_core.config.text import TextEvaluation
from d2v_core.data.text.tasks import Samples, Task
from d2v_core.data.text.tokenizer import TextTokenizer
from d2v_core.data.vision.batches import shuffled
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.text import INITIAL_STD, TextEncoder
from d2v_core.encoders.token_inputs import pad_rows
from d2v_core.evaluation.fine_tuning import FineTuned, fine_tune_best
from d2v_core.evaluation.text.glue_metrics import score_of
from d2v_core.randomness import derived_seed

BATCH_SIZE = 128
SMALL_TASK = 10_000


class ClassificationHead(nn.Module):
    """RoBERTa's: dropout, linear, tanh, dropout, linear, on ``<s>``.

    Args:
        dim: Channels of the encoder.
        num_outputs: Classes; 1 for a regression.
        dropout: Before both layers.
    """

    def __init__(self, *, dim: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense, self.out_proj = nn.Linear(dim, dim), nn.Linear(dim, num_outputs)
        for linear in (self.dense, self.out_proj):
            nn.init.normal_(linear.weight, std=INITIAL_STD)
            nn.init.zeros_(linear.bias)

    def forward(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch outputs"]:
        """Logits, or one number."""
        hidden = torch.tanh(self.dense(self.dropout(tokens[:, 0])))
        logits: Tensor = self.out_proj(self.dropout(hidden))
        return logits


def fine_tune_task(
    encoder: TextEncoder,
    tokenizer: TextTokenizer,
    task: Task,
    config: TextEvaluation,
    *,
    seed: int,
) -> tuple[FineTuned, dict[str, np.ndarray]]:
    """The best of the learning rates, and its predictions on each reported split."""
    tuning = task_tuning(config, len(task.train))
    rows = encode(tokenizer, task.train, encoder.max_tokens)
    order = derived_seed(seed, f"fine-tuning order {task.name}")
    mean, scale = _standardisation(task)
    targets = task.train.labels
    if not task.classes:
        targets = ((targets - mean) / scale).astype(np.float32)

    def build(network: Encoder) -> tuple[nn.Module, Callable[[int], Tensor]]:
        head = ClassificationHead(
            dim=encoder.dim,
            num_outputs=len(task.classes) or 1,
            dropout=encoder.dropout.p,
        )

        def loss(step: int) -> Tensor:
            device = next(network.parameters()).device
            batch = _batch(step, tuning.batch_size, len(rows), order)
            inputs = pad_rows([rows[i] for i in batch]).to(device)
            wanted = torch.from_numpy(targets[batch]).to(device)
            outputs = head(network(inputs))
            if task.classes:
                return F.cross_entropy(outputs, wanted)
            return F.mse_loss(outputs.squeeze(1), wanted)

        return head, loss

    def predict(network: Encoder, head: nn.Module, samples: Samples) -> np.ndarray:
        predicted = _outputs(
            network, head, encode(tokenizer, samples, encoder.max_tokens)
        )
        return (
            predicted.argmax(axis=1) if task.classes else predicted[:, 0] * scale + mean
        )

    def score(network: Encoder, head: nn.Module) -> float:
        predicted = predict(network, head, task.valid)
        return score_of(task.score)(task.valid.labels, predicted)

    tuned = fine_tune_best(encoder, build, score, tuning, seed=seed)
    return tuned, {
        name: predict(tuned.encoder, tuned.head, test)
        for name, test in task.tests.items()
    }


def task_tuning(config: TextEvaluation, num_samples: int) -> FineTuningConfig:
    """The settings for a task with so many training samples."""
    assert config.fine_tuning is not None
    changed = config.fine_tuning.model_dump()
    if config.small_task_batch_size is not None and num_samples < SMALL_TASK:
        changed["batch_size"] = config.small_task_batch_size
    if config.fine_tuning_epochs is not None:
        updates = config.fine_tuning_epochs * num_samples / changed["batch_size"]
        changed["num_steps"] = max(1, round(updates))
    return FineTuningConfig.model_validate(changed)


def encode(
    tokenizer: TextTokenizer, samples: Samples, max_tokens: int
) -> list[np.ndarray]:
    """One row per sample, pairs jointly."""
    if samples.second is None:
        return tokenizer.rows(samples.first, max_tokens)
    return tokenizer.pair_rows(samples.first, samples.second, max_tokens)


def _standardisation(task: Task) -> tuple[float, float]:
    if task.classes:
        return 0.0, 1.0
    return float(task.train.labels.mean()), float(task.train.labels.std()) or 1.0


def _batch(step: int, batch_size: int, size: int, seed: int) -> np.ndarray:
    """Positions of update ``step`` in shuffled passes, one after the other."""
    wanted = np.arange((step - 1) * batch_size, step * batch_size)
    return np.array([shuffled(seed, int(i // size), size)[i % size] for i in wanted])


@torch.no_grad()
def _outputs(
    encoder: Encoder, head: nn.Module, rows: Sequence[np.ndarray]
) -> np.ndarray:
    device = next(encoder.parameters()).device
    order = np.argsort([len(row) for row in rows], kind="stable")
    parts = []
    for start in range(0, len(rows), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        inputs = pad_rows([rows[i] for i in batch]).to(device)
        parts.append(head(encoder(inputs)).float().cpu().numpy())
    joined = np.concatenate(parts)
    restored = np.empty_like(joined)
    restored[order] = joined
    return restored
