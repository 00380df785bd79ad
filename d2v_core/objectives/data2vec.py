"""data2vec: masked prediction of an EMA teacher's averaged top layers.

Paper arXiv 2202.03555v3, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from d2v_core.config.choices import Combination, Network
from d2v_core.config.objective import Data2VecObjective
from d2v_core.config.trial import TrialConfig, depth_problem, groups_problem
from d2v_core.encoders.encoder import Collect, Encoder, Feature, Restriction, Tokens
from d2v_core.encoders.inputs import Inputs
from d2v_core.errors import ConfigError, Problem
from d2v_core.masks.masked import Masked, MaskSampler
from d2v_core.masks.tokens import only_selected
from d2v_core.objectives.configured import (
    build_feature,
    build_loss,
    build_norm,
    build_tau,
)
from d2v_core.objectives.parts.heads import SeparateHeads, regression_head
from d2v_core.objectives.parts.losses import RegressionLoss, variance_hinge
from d2v_core.objectives.parts.places import at_positions
from d2v_core.objectives.parts.recovered import Recovered
from d2v_core.objectives.parts.targets import (
    Norm,
    OwnFeature,
    average_top_k_layers,
    layers_of,
    separate_top_k_layers,
)
from d2v_core.objectives.parts.teacher import EmaTeacher
from d2v_core.objectives.protocol import Draw, StepResult
from d2v_core.randomness import numpy_generator
from d2v_core.training.health import (
    effective_rank,
    gain_over_constant,
    mean_std,
    spread,
)
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

FIRST_SPREAD = "first_target_spread"
"""In the extra state, beside the teacher's weights."""


@dataclass(frozen=True)
class MaskDraw(Draw):
    """What the two networks read in one update.

    Attributes:
        mask: Positions where the student reads the mask token; predictions are made
            there and nowhere else.
        positions: Where ``mask.flatten()`` is true: found on the CPU, without waiting
            for a GPU.
        student: What the student reads instead of the batch; None: the batch.
        teacher: Likewise the teacher.
    """

    mask: Bool[Tensor, "batch tokens"]
    positions: Int[Tensor, " masked"]
    student: Inputs | None
    teacher: Inputs | None


class Data2Vec:
    """Student with regression head, and its EMA teacher (paper section 3).

    Args:
        encoder: The student.
        head: Maps the student's tokens to predictions, (masked, dim) to (masked, dim).
        masks: Draws what is hidden of a batch.
        seed: Seed of the masks.
        tau: EMA decay of update ``step``.
        loss: Distance between prediction and target.
        feature: Teacher activation that becomes the target.
        top_k: Number of top teacher layers averaged, or predicted separately.
        layer_norm: Normalisation of each layer.
        final_norm: Normalisation of the average.
        num_groups: Groups of channels where a normalisation is ``group``.
        combine: Whether the layers are averaged, or ``head`` predicts each.
        variance_weight: Weight of the hinge on the predictions' deviation.
        variance_margin: Deviation from which on the hinge is 0.
        shared: Names of the parameters the teacher takes from the student.
        shares_features: Whether the teacher takes the whole feature encoder, so that
            its features are computed only once.
        restrict: Limits the teacher's attention while targets are made.
        teacher_input: What the teacher reads; None: the whole batch.
        min_target_std: Targets of a smaller spread are collapsed.
        min_prediction_std: Likewise predictions.
        workers: Those that have the other rows of a batch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        head: nn.Module,
        masks: MaskSampler,
        tau: Callable[[int], float],
        loss: RegressionLoss,
        feature: Feature | OwnFeature,
        top_k: int,
        layer_norm: Norm,
        final_norm: Norm,
        seed: int = 0,
        num_groups: int = 1,
        combine: Combination = "average",
        variance_weight: float = 0.0,
        variance_margin: float = 0.5,
        shared: frozenset[str] = frozenset(),
        shares_features: bool = False,
        restrict: Restriction = nullcontext,
        teacher_input: Callable[[Inputs, Masked], Inputs] | None = None,
        min_target_std: float = 0.0,
        min_prediction_std: float = 0.0,
        workers: Workers = ALONE,
    ) -> None:
        self.module = nn.ModuleDict({"encoder": encoder, "head": head})
        self.student, self.teacher = encoder, EmaTeacher(encoder)
        self._masks, self._seed, self._tau, self._distance = masks, seed, tau, loss
        kinds = (feature,) if isinstance(feature, str) else get_args(Feature)
        self._feature, self._collect = feature, Collect(top_k, kinds)
        averages = combine == "average"
        self._num_separate = 1 if averages else top_k
        self._combine = partial(
            average_top_k_layers if averages else separate_top_k_layers,
            layer_norm=layer_norm,
            final_norm=final_norm,
            num_groups=num_groups,
            total=workers.total if workers.count > 1 else None,
        )
        self._variance_weight, self._variance_margin = variance_weight, variance_margin
        self._shared, self._shares_features = shared, shares_features
        self._restrict, self._teacher_input = restrict, teacher_input
        self._has_no_norm = layer_norm == final_norm == "none"
        self._least = {"target": min_target_std, "prediction": min_prediction_std}
        self._first_spread: Tensor | None = None
        self._workers = workers

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Least spread; without any norm, as a share of the first targets'."""
        measure = "std_ratio" if self._has_no_norm else "std"
        return {f"{name}/{measure}": least for name, least in self._least.items()}

    def to(self, device: torch.device) -> None:
        """Move student, head and teacher."""
        self.module.to(device)
        self.teacher.network.to(device)

    def draw(self, inputs: Inputs, step: int) -> MaskDraw:
        """One mask per sample."""
        drawn = self._masks(inputs, numpy_generator(self._seed, "mask", step))
        shown = self._teacher_input
        return MaskDraw(
            mask=drawn.mask,
            positions=drawn.mask.flatten().nonzero().squeeze(1),
            student=drawn.read,
            teacher=None if shown is None else shown(inputs, drawn),
        )

    def loss(
        self, inputs: Inputs, labels: Any, draw: MaskDraw, step: int
    ) -> StepResult:
        """Regress the teacher's targets at the masked positions; labels are unused."""
        read, shown = self._embedded(inputs, draw)
        targets = at_positions(self.targets(shown), draw.positions)
        tokens = self.student.encode(read, draw.mask).tokens
        predictions = self.module["head"](at_positions(tokens, draw.positions))
        loss = self._distance(predictions, targets) + self._hinge(predictions)
        return self._result(inputs, loss, predictions, targets, step)

    def recovered(self, inputs: Inputs) -> Recovered:
        """See :class:`d2v_core.objectives.parts.recovered.ShowsRecovered`."""
        device = next(self.module.parameters()).device
        draw, inputs = self.draw(inputs, 0).to(device), inputs.to(device)
        read, shown = self._embedded(inputs, draw)
        tokens = self.student.encode(read, draw.mask).tokens
        predictions = self.module["head"](at_positions(tokens, draw.positions))
        return Recovered(draw.mask, self.targets(shown), predictions)

    def _result(
        self,
        inputs: Inputs,
        loss: Float[Tensor, ""],
        predictions: Float[Tensor, "masked dim"],
        targets: Float[Tensor, "masked dim"],
        step: int,
    ) -> StepResult:
        """The loss with what is looked at beside it."""
        if self._has_no_norm and self._first_spread is None:
            self._first_spread = spread(self._workers.gather(targets))
        return StepResult(
            loss=loss,
            measure=lambda: self._measure(step, predictions.detach(), targets),
            describe=lambda: self._describe(inputs, predictions.detach(), targets),
            num_terms=len(targets),
        )

    def _hinge(self, predictions: Tensor) -> Tensor | float:
        if not self._variance_weight:
            return 0.0
        margin = self._variance_margin
        return self._variance_weight * variance_hinge(
            predictions, margin, self._workers
        )

    @torch.no_grad()
    def targets(self, tokens: Tokens) -> Float[Tensor, "batch tokens all_dims"]:
        """Targets of every position, from the teacher and the unmasked input.

        Those of separate layers stand side by side.
        """
        teacher = self.teacher.network
        with self._restrict(teacher):
            layers = teacher.encode(tokens, collect=self._collect).layers
        return self._combine(layers_of(layers, self._feature), real=tokens.real)

    def _embedded(self, inputs: Inputs, draw: MaskDraw) -> tuple[Tokens, Tokens]:
        """What the student and what the teacher reads, once if both can have it."""
        of_student = inputs if draw.student is None else draw.student
        of_teacher = inputs if draw.teacher is None else draw.teacher
        read = self.student.embed(of_student)
        if of_teacher is of_student:
            return read, self._seen_by_teacher(inputs, read)
        source = self.student if self._shares_features else self.teacher.network
        with torch.no_grad():
            return read, source.embed(of_teacher)

    def _seen_by_teacher(self, inputs: Inputs, read: Tokens) -> Tokens:
        """Features of what the student read too."""
        if self._shares_features:
            return read.detach()
        with torch.no_grad():
            return self.teacher.network.embed(inputs)

    def after_update(self, step: int) -> None:
        """Move the teacher towards the student."""
        self.teacher.update(self.student, self._tau(step), self._shared)

    def network(self, which: Network) -> Encoder:
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

    def _mean_layer(self, targets: Tensor) -> Tensor:
        """One target for each position: the rank of all layers would take minutes."""
        return targets.view(len(targets), self._num_separate, -1).mean(dim=1)

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
            "target/effective_rank": effective_rank(self._mean_layer(targets)),
            "prediction/gain": gain_over_constant(gather(predictions), targets),
        }
        local = self.student.local_features(inputs)
        if local is not None:
            described["student/local_effective_rank"] = effective_rank(gather(local))
        return described


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Data2Vec:
    """Read mask, target, teacher, loss, head and health."""
    if problems := encoder_problems(trial, encoder):
        raise ConfigError(problems)
    assert isinstance(trial.objective, Data2VecObjective)
    return Data2Vec(
        head=_build_head(trial, encoder.dim),
        combine=trial.target.combine,
        variance_weight=trial.objective.variance_weight,
        variance_margin=trial.objective.variance_margin,
        **settings_of(trial, encoder, modality, workers),
    )


def settings_of(
    trial: TrialConfig,
    encoder: Encoder,
    modality: Modality[Any, Any, Any],
    workers: Workers,
) -> dict[str, Any]:
    """The arguments of :class:`Data2Vec` but the head."""
    target, teacher = trial.target, trial.teacher
    return {
        "encoder": encoder,
        "masks": modality.masks(trial, encoder, workers),
        "seed": trial.seed,
        "tau": build_tau(trial),
        "loss": build_loss(trial, encoder.dim),
        "feature": build_feature(trial),
        "top_k": target.top_k,
        "layer_norm": build_norm(trial, "layer_norm"),
        "final_norm": build_norm(trial, "final_norm"),
        "num_groups": target.num_groups,
        "shared": encoder.part_names(teacher.shares),
        "shares_features": "feature_encoder" in teacher.shares,
        "restrict": encoder.restriction(teacher.context),
        "teacher_input": only_selected if teacher.input == "reference_bug" else None,
        "min_target_std": trial.health.min_target_std,
        "min_prediction_std": trial.health.min_prediction_std,
        "workers": workers,
    }


def _build_head(trial: TrialConfig, dim: int) -> nn.Module:
    """One head, or one for each layer that is predicted separately."""
    make = partial(regression_head, dim, trial.head.depth, trial.head_init)
    if trial.target.combine == "average":
        return make()
    return SeparateHeads(make() for _ in range(trial.target.top_k))


def encoder_problems(trial: TrialConfig, encoder: Encoder) -> list[Problem]:
    """What the encoder lacks."""
    problems, target = [], trial.target
    if target.top_k > encoder.depth:
        problems.append(depth_problem(target.top_k, encoder.depth))
    if encoder.dim % target.num_groups:
        problems.append(groups_problem(target.num_groups, encoder.dim))
    asked: dict[str, Callable[[], object]] = {
        "teacher.shares": lambda: encoder.part_names(trial.teacher.shares),
        "teacher.context": lambda: encoder.restriction(trial.teacher.context),
    }
    for path, ask in asked.items():
        try:
            ask()
        except ValueError as error:
            problems.append(Problem(path, str(error)))
    return problems
