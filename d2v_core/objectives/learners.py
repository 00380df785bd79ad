"""What is optimised: data2vec, or the supervised reference arm.

A learner turns one batch into a loss and knows what to do after each update. The
training loop knows nothing else about the objective, and nothing of the modality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.encoders.encoder import Encoder, Feature, Restriction
from d2v_core.encoders.inputs import Inputs, mean_over_real
from d2v_core.objectives.parts.losses import RegressionLoss
from d2v_core.objectives.parts.targets import Normalisation, average_top_k_layers
from d2v_core.objectives.parts.teacher import EmaTeacher
from d2v_core.training.health import (
    effective_rank,
    gain_over_constant,
    mean_std,
    spread,
)
from d2v_core.training.parallel import ALONE, Workers

Measure = Callable[[], Mapping[str, float]]
FIRST_SPREAD = "first_target_spread"
"""In a learner's extra state, beside the teacher's weights."""


@dataclass(frozen=True)
class Masked:
    """What the two networks read in one update.

    Attributes:
        mask: Positions where the student reads the mask token; predictions are made
            there and nowhere else. On the CPU.
        student: The student's input, before the mask token is put in.
        teacher: The teacher's.
    """

    mask: Bool[Tensor, "batch tokens"]
    student: Inputs
    teacher: Inputs


DrawMask = Callable[[Inputs, int], Masked]
"""From the batch and the update (from 1)."""

Criterion = Callable[
    [nn.Module, Tensor, Tensor | None, Any], tuple[Tensor, dict[str, Tensor]]
]
"""From classifier, tokens (batch, tokens, dim), which are real, and labels to the loss,
a mean over samples, and to metrics as numerator and denominator, (2,)."""


@dataclass(frozen=True)
class StepResult:
    """The loss of one batch, and metrics that are computed only when asked for.

    Attributes:
        loss: What is minimised.
        measure: Metrics that are looked at to see a collapse, and logged.
        describe: Costlier metrics that are logged only; to be called before the
            optimiser changes the weights.
        num_terms: Terms of which the loss is the mean, where batches of the same size
            have more or fewer.
    """

    loss: Float[Tensor, ""]
    measure: Measure
    describe: Measure = dict
    num_terms: int = 1


@runtime_checkable
class Learner(Protocol):
    """One objective."""

    module: nn.ModuleDict
    """Everything that is optimised."""

    def to(self, device: torch.device) -> None:
        """Move all networks, the teacher too."""
        ...

    def step(self, inputs: Inputs, labels: Any, step: int) -> StepResult:
        """Loss of update ``step`` (from 1)."""
        ...

    def after_update(self, step: int) -> None:
        """Called once after each optimiser update."""
        ...

    def network(self, which: Literal["student", "teacher"]) -> Encoder:
        """The encoder that is evaluated."""
        ...

    def extra_state(self) -> dict[str, Tensor]:
        """State beside ``module`` that a checkpoint must hold."""
        ...

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`extra_state` gave."""
        ...


class Data2Vec:
    """Student with regression head, and its EMA teacher (paper section 3).

    Args:
        encoder: The student.
        head: Maps the student's tokens to predictions, (masked, dim) to (masked, dim).
        draw_mask: What is masked in an update.
        tau: EMA decay of update ``step``.
        loss: Distance between prediction and target.
        feature: Teacher activation that becomes the target.
        top_k: Number of top teacher layers averaged.
        layer_norm: Normalisation of each layer.
        final_norm: Normalisation of the average.
        num_groups: Groups of channels where a normalisation is ``group``.
        shared: Names of the parameters the teacher takes from the student.
        shares_features: Whether the teacher takes the whole feature encoder, so that
            its features are computed only once.
        restrict: Limits the teacher's attention while targets are made.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        head: nn.Module,
        draw_mask: DrawMask,
        tau: Callable[[int], float],
        loss: RegressionLoss,
        feature: Feature,
        top_k: int,
        layer_norm: Normalisation,
        final_norm: Normalisation,
        num_groups: int = 1,
        shared: frozenset[str] = frozenset(),
        shares_features: bool = False,
        restrict: Restriction = nullcontext,
        workers: Workers = ALONE,
    ) -> None:
        self.module = nn.ModuleDict({"encoder": encoder, "head": head})
        self.student, self.teacher = encoder, EmaTeacher(encoder)
        self._draw_mask, self._tau, self._loss = draw_mask, tau, loss
        self._feature, self._top_k = feature, top_k
        self._average = partial(
            average_top_k_layers,
            layer_norm=layer_norm,
            final_norm=final_norm,
            num_groups=num_groups,
            total=workers.total if workers.count > 1 else None,
        )
        self._tokenwise = {layer_norm, final_norm} <= {"none", "layer"}
        self._shared, self._shares_features = shared, shares_features
        self._restrict, self._workers = restrict, workers
        self._has_no_norm = layer_norm == final_norm == "none"
        self._first_spread: Tensor | None = None

    def to(self, device: torch.device) -> None:
        """Move student, head and teacher."""
        self.module.to(device)
        self.teacher.network.to(device)

    def step(self, inputs: Inputs, labels: Any, step: int) -> StepResult:
        """Regress the teacher's targets at the masked positions; labels are unused."""
        masked = self._draw_mask(inputs, step)
        mask, read, shown = masked.mask, masked.student, masked.teacher
        positions = mask.flatten().nonzero().squeeze(1).to(inputs.device)
        if self._shares_features:
            alike = shown is read
            read = self.student.features(read)
            shown = (read if alike else self.student.features(shown)).detach()
        targets = self._masked_targets(shown, mask, positions)
        tokens = self.student.masked_tokens(read, mask, positions)
        predictions = self.module["head"](tokens)
        if self._has_no_norm and self._first_spread is None:
            self._first_spread = spread(self._workers.gather(targets))
        return StepResult(
            loss=self._loss(predictions, targets),
            measure=lambda: self._measure(step, predictions.detach(), targets),
            describe=lambda: self._describe(inputs, predictions.detach(), targets),
            num_terms=len(positions),
        )

    @torch.no_grad()
    def targets(self, inputs: Inputs) -> Float[Tensor, "batch tokens dim"]:
        """Targets of every position, from the teacher and the unmasked input."""
        with self._restrict(self.teacher.network):
            layers = self.teacher.network.top_layers(
                inputs, feature=self._feature, top_k=self._top_k
            )
        return self._average(layers, real=self.teacher.network.real(inputs))

    @torch.no_grad()
    def _masked_targets(
        self, inputs: Inputs, mask: Tensor, positions: Tensor
    ) -> Float[Tensor, "masked dim"]:
        """:meth:`targets` at the masked positions; others only if a norm needs them."""
        if not self._tokenwise:
            return self.targets(inputs).flatten(0, 1)[positions]
        with self._restrict(self.teacher.network):
            layers = self.teacher.network.masked_top_layers(
                inputs, mask, positions, feature=self._feature, top_k=self._top_k
            )
        return self._average([layer.unsqueeze(0) for layer in layers]).squeeze(0)

    def after_update(self, step: int) -> None:
        """Move the teacher towards the student."""
        self.teacher.update(self.student, self._tau(step), self._shared)

    def network(self, which: Literal["student", "teacher"]) -> Encoder:
        """The student's or the teacher's encoder."""
        return self.teacher.network if which == "teacher" else self.student

    def extra_state(self) -> dict[str, Tensor]:
        """The teacher, and the spread that later targets are compared with."""
        state = dict(self.teacher.network.state_dict())
        if self._first_spread is not None:
            state[FIRST_SPREAD] = self._first_spread
        return state

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what :meth:`extra_state` gave."""
        weights = dict(state)
        self._first_spread = weights.pop(FIRST_SPREAD, None)
        self.teacher.network.load_state_dict(weights)

    def _measure(
        self, step: int, predictions: Tensor, targets: Tensor
    ) -> dict[str, float]:
        targets = self._workers.gather(targets)
        predictions = self._workers.gather(predictions)
        measured = {
            "target/std": mean_std(targets),
            "prediction/std": mean_std(predictions),
            "teacher/tau": self._tau(step),
        }
        if (first := self._first_spread) is not None:
            first = first.clamp_min(torch.finfo(first.dtype).tiny)
            measured["target/std_ratio"] = float(spread(targets) / first)
            measured["prediction/std_ratio"] = float(spread(predictions) / first)
        return measured

    @torch.no_grad()
    def _describe(
        self, inputs: Inputs, predictions: Tensor, targets: Tensor
    ) -> dict[str, float]:
        gather = self._workers.gather
        targets = gather(targets)
        described = {
            "target/effective_rank": effective_rank(targets),
            "prediction/gain": gain_over_constant(gather(predictions), targets),
        }
        local = self.student.local_features(inputs)
        if local is not None:
            described["student/local_effective_rank"] = effective_rank(gather(local))
        return described


class SingleNetwork:
    """What learners without a teacher have in common."""

    module: nn.ModuleDict
    encoder: Encoder

    def to(self, device: torch.device) -> None:
        """Move the network."""
        self.module.to(device)

    def after_update(self, step: int) -> None:
        """Nothing follows an update."""

    def network(self, which: Literal["student", "teacher"]) -> Encoder:
        """The only encoder there is."""
        return self.encoder

    def extra_state(self) -> dict[str, Tensor]:
        """Nothing beside the module."""
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""


class Supervised(SingleNetwork):
    """The encoder with a linear classifier, from scratch.

    Args:
        encoder: The encoder.
        num_classes: Number of labels.
        criterion: Loss of the classifier on the encoder's tokens.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        criterion: Criterion,
        workers: Workers = ALONE,
    ) -> None:
        classifier = nn.Linear(encoder.dim, num_classes)
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "classifier": classifier})
        self._criterion, self._workers = criterion, workers

    def step(self, inputs: Inputs, labels: Any, step: int) -> StepResult:
        """The criterion on the unmasked input."""
        tokens, real = self.encoder(inputs), self.encoder.real(inputs)
        loss, found = self._criterion(self.module["classifier"], tokens, real, labels)
        return StepResult(
            loss=loss,
            measure=lambda: {name: self._ratio(parts) for name, parts in found.items()},
        )

    def _ratio(self, parts: Tensor) -> float:
        numerator, denominator = self._workers.total(parts.clone()).tolist()
        return float(numerator / max(denominator, 1.0))


def pooled_cross_entropy(label_smoothing: float) -> Criterion:
    """Cross-entropy of the mean of the real tokens; labels are class indices."""

    def criterion(
        classifier: nn.Module, tokens: Tensor, real: Tensor | None, labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = classifier(mean_over_real(tokens, real))
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        correct = (logits.detach().argmax(1) == labels).float()
        count = torch.ones_like(correct)
        return loss, {"train/accuracy": torch.stack((correct, count)).sum(dim=1)}

    return criterion


class Untrained(SingleNetwork):
    """Reference arm: the encoder as initialised.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder})

    def step(self, inputs: Inputs, labels: Any, step: int) -> StepResult:
        """Never called: such a trial has no updates."""
        raise AssertionError("an untrained encoder has no training step")
