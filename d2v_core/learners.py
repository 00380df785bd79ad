"""What is optimised: data2vec, or the supervised reference arm.

A learner turns one batch into a loss and knows what to do after each update. The
training loop knows nothing else about the objective, and nothing of the modality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from d2v_core.encoders.encoder import Encoder, Feature
from d2v_core.health import effective_rank, gain_over_constant, mean_std
from d2v_core.losses import RegressionLoss
from d2v_core.targets import Normalisation, average_top_k_layers
from d2v_core.teacher import EmaTeacher

Measure = Callable[[], Mapping[str, float]]
Restriction = Callable[[Any], AbstractContextManager[object]]
"""Limits a network's attention while the context is open."""
LocalFeatures = Callable[[Tensor], Float[Tensor, "rows dim"]]


@dataclass(frozen=True)
class StepResult:
    """The loss of one batch, and metrics that are computed only when asked for.

    Attributes:
        loss: What is minimised.
        measure: Metrics that are looked at to see a collapse, and logged.
        describe: Costlier metrics that are logged only; to be called before the
            optimiser changes the weights.
    """

    loss: Float[Tensor, ""]
    measure: Measure
    describe: Measure = dict


@runtime_checkable
class Learner(Protocol):
    """One objective."""

    module: nn.ModuleDict
    """Everything that is optimised."""

    def to(self, device: torch.device) -> None:
        """Move all networks, the teacher too."""
        ...

    def step(self, inputs: Tensor, labels: Tensor, step: int) -> StepResult:
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
        draw_mask: The mask of update ``step`` for a batch of a size.
        tau: EMA decay of update ``step``.
        loss: Distance between prediction and target.
        feature: Teacher activation that becomes the target.
        top_k: Number of top teacher layers averaged.
        layer_norm: Normalisation of each layer.
        final_norm: Normalisation of the average.
        num_groups: Groups of channels where a normalisation is ``group``.
        shared: Names of the parameters the teacher takes from the student.
        restrict: Limits the teacher's attention while targets are made.
        local_features: The student's features of each position on its own, before any
            attention; None: their rank is not reported.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        head: nn.Module,
        draw_mask: Callable[[int, int], Bool[Tensor, "batch tokens"]],
        tau: Callable[[int], float],
        loss: RegressionLoss,
        feature: Feature,
        top_k: int,
        layer_norm: Normalisation,
        final_norm: Normalisation,
        num_groups: int = 1,
        shared: frozenset[str] = frozenset(),
        restrict: Restriction = nullcontext,
        local_features: LocalFeatures | None = None,
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
        )
        self._tokenwise = {layer_norm, final_norm} <= {"none", "layer"}
        self._shared, self._restrict = shared, restrict
        self._local_features = local_features

    def to(self, device: torch.device) -> None:
        """Move student, head and teacher."""
        self.module.to(device)
        self.teacher.network.to(device)

    def step(self, inputs: Tensor, labels: Tensor, step: int) -> StepResult:
        """Regress the teacher's targets at the masked positions; labels are unused."""
        mask = self._draw_mask(len(inputs), step)
        positions = mask.flatten().nonzero().squeeze(1).to(inputs.device)
        targets = self._masked_targets(inputs, mask, positions)
        tokens = self.student.masked_tokens(inputs, mask, positions)
        predictions = self.module["head"](tokens)
        return StepResult(
            loss=self._loss(predictions, targets),
            measure=lambda: self._measure(step, predictions.detach(), targets),
            describe=lambda: self._describe(inputs, predictions.detach(), targets),
        )

    @torch.no_grad()
    def targets(self, inputs: Tensor) -> Float[Tensor, "batch tokens dim"]:
        """Targets of every position, from the teacher and the unmasked input."""
        with self._restrict(self.teacher.network):
            layers = self.teacher.network.top_layers(
                inputs, feature=self._feature, top_k=self._top_k
            )
        return self._average(layers)

    @torch.no_grad()
    def _masked_targets(
        self, inputs: Tensor, mask: Tensor, positions: Tensor
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
        """The teacher."""
        return self.teacher.network.state_dict()

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore the teacher."""
        self.teacher.network.load_state_dict(state)

    def _measure(
        self, step: int, predictions: Tensor, targets: Tensor
    ) -> dict[str, float]:
        return {
            "target/std": mean_std(targets),
            "prediction/std": mean_std(predictions),
            "teacher/tau": self._tau(step),
        }

    @torch.no_grad()
    def _describe(
        self, inputs: Tensor, predictions: Tensor, targets: Tensor
    ) -> dict[str, float]:
        described = {
            "target/effective_rank": effective_rank(targets),
            "prediction/gain": gain_over_constant(predictions, targets),
        }
        if self._local_features is not None:
            rank = effective_rank(self._local_features(inputs))
            described["student/local_effective_rank"] = rank
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
    """The encoder with mean pooling and a linear classifier, from scratch.

    Args:
        encoder: The encoder.
        num_classes: Number of labels.
        label_smoothing: Share of the probability spread over all classes.
    """

    def __init__(
        self, *, encoder: Encoder, num_classes: int, label_smoothing: float
    ) -> None:
        classifier = nn.Linear(encoder.dim, num_classes)
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder, "classifier": classifier})
        self._label_smoothing = label_smoothing

    def step(
        self, inputs: Tensor, labels: Int[Tensor, " batch"], step: int
    ) -> StepResult:
        """Cross-entropy of the mean-pooled tokens."""
        logits = self.module["classifier"](self.encoder(inputs).mean(dim=1))
        loss = F.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)

        def measure() -> dict[str, float]:
            correct = logits.argmax(1) == labels
            return {"train/accuracy": float(correct.float().mean())}

        return StepResult(loss=loss, measure=measure)


class Untrained(SingleNetwork):
    """Reference arm: the encoder as initialised.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.module = nn.ModuleDict({"encoder": encoder})

    def step(self, inputs: Tensor, labels: Tensor, step: int) -> StepResult:
        """Never called: such a trial has no updates."""
        raise AssertionError("an untrained encoder has no training step")
