"""Settings of fine-tuning on labels, for every modality's evaluation."""

from __future__ import annotations

from pydantic import Field

from d2v_core.config.base import Section
from d2v_core.config.bounds import MAX_BATCH, MAX_FACTOR, MAX_ITEMS, MAX_STEPS, Factor
from d2v_core.config.objective import Duration
from d2v_core.training.schedules import Decay


class FineTuningConfig(Section):
    """The whole encoder and a new head trained on labels; AdamW.

    The learning rate with the best validation score is used and stored.
    """

    num_steps: int = Field(ge=1, le=MAX_STEPS)
    """Optimiser updates."""
    batch_size: int = Field(32, ge=1, le=MAX_BATCH)
    """Labelled samples per update."""
    learning_rates: tuple[Factor, ...] = Field(
        min_length=1, max_length=MAX_ITEMS, strict=False
    )
    """Peak learning rates to choose from on the validation split."""
    head_learning_rate_factor: float = Field(1.0, gt=0.0, le=MAX_FACTOR)
    """The head's learning rate over the encoder's."""
    warmup: Duration = 0.1
    """Linear warm-up from 0: updates or fraction of the run."""
    decay: Decay = "cosine"
    """Shape after the warm-up. GLUE: linear; speech: tri_stage."""
    hold: Duration = 0
    """Updates or fraction at the peak, for ``tri_stage`` only."""
    final_scale: float = Field(0.0, ge=0.0, le=1.0)
    """Last learning rate over the peak; speech: 0.05."""
    layer_decay: float = Field(1.0, gt=0.0, le=1.0)
    """Each block's learning rate over that of the block above it (ImageNet: 0.65)."""
    freeze: Duration = 0
    """Updates or fraction during which only the head is trained (speech, 10 h: 10k of
    20k updates)."""
    weight_decay: float = Field(0.0, ge=0.0, le=MAX_FACTOR)
    """Decoupled weight decay of matrices."""
    beta2: float = Field(0.999, ge=0.0, lt=1.0)
    """Second-moment decay; speech and text: 0.98."""
    max_grad_norm: float | None = Field(None, gt=0.0, le=MAX_FACTOR)
    """Gradients are clipped to this global norm; null: no clipping."""
