"""The configuration of one trial: every section, and the rules that span sections.

Modules of one modality (:mod:`d2v_core.config.vision` and its neighbours) add encoder,
masks, data and evaluation to :class:`TrialConfig`.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, cast, runtime_checkable

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from d2v_core.config.base import Section, UnlabelledData, execution_field
from d2v_core.config.objective import (
    Data2VecObjective,
    HeadConfig,
    HeadInit,
    HealthConfig,
    Loss,
    Objective,
    SmoothL1Loss,
    TargetConfig,
    TeacherConfig,
)
from d2v_core.config.own import reference_in
from d2v_core.config.training import (
    EvaluationConfig,
    ExecutionConfig,
    OptimizerConfig,
    TrainingConfig,
)
from d2v_core.errors import Problem, shown
from d2v_core.training.schedules import resolve_duration


@runtime_checkable
class EncoderSizes(Protocol):
    """The sizes in every modality's encoder section; None: the model's own."""

    @property
    def width(self) -> int | None:
        """Embedding dimension."""

    @property
    def depth(self) -> int | None:
        """Number of blocks."""

    @property
    def num_heads(self) -> int | None:
        """Attention heads per block."""


class TrialConfig(Section):
    """The sections that every modality's trial has.

    Concrete trials add ``modality``, the encoder (a section named like the modality),
    ``mask`` and ``data``.
    """

    reference_head: ClassVar[HeadInit] = "pytorch"
    """The way the modality's reference draws the regression head; PyTorch's default
    where there is no reference."""

    objective: Objective = Data2VecObjective()
    """The objective that is trained: ``data2vec``, or a reference arm."""
    target: TargetConfig = TargetConfig()
    """Teacher activations that are predicted."""
    teacher: TeacherConfig = TeacherConfig()
    """Schedule and input of the teacher, and the parts it shares."""
    loss: Loss = SmoothL1Loss()
    """Distance between prediction and target, averaged over masked positions."""
    head: HeadConfig = HeadConfig()
    """The student's regression head."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser and learning-rate schedule."""
    training: TrainingConfig = TrainingConfig()
    """Length and batch size."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """The evaluation protocol; modalities add to it."""
    health: HealthConfig = HealthConfig()
    """Limits below which targets or predictions count as collapsed."""
    init_from: str | None = execution_field(None)
    """Weights the encoder begins with instead of random ones: a folder of a kept or
    exported encoder, a file as timm names weights, or ``timm:NAME``, whose weights
    were downloaded before; null: random. The place is no
    part of the identity, the weights are (:mod:`d2v_core.initial_weights`)."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of initial weights, data order, masks, augmentation and label subset."""
    execution: ExecutionConfig = ExecutionConfig()
    """Place and speed; not part of the trial's identity."""
    sources: dict[str, str] = execution_field({})
    """Files of your own code that the settings name, by digest: they travel with the
    configuration, and are filled in. The digests are identity, in the settings."""

    @property
    def encoder(self) -> EncoderSizes:
        """The section of the encoder."""
        return cast(EncoderSizes, getattr(self, modality_name(self)))

    @property
    def has_labels(self) -> bool:
        """Whether the evaluation has labels to fit a probe on."""
        probed = getattr(self.evaluation, "data", None) or getattr(self, "data", None)
        return not isinstance(probed, UnlabelledData)

    @property
    def num_workers(self) -> int:
        """Processes that train it together."""
        return self.execution.num_workers if self.objective.trains else 1

    @property
    def head_init(self) -> HeadInit:
        """The way of drawing the regression head that is asked for."""
        return self.reference_head if self.head.init == "reference" else self.head.init

    def problems(self) -> list[Problem]:
        """Broken rules that span sections; modalities add their own."""
        return [
            *_check_modality(self),
            *_check_sizes(self),
            *_check_groups(self),
            *_check_schedule(self),
            *_check_optimizer(self),
            *_check_teacher(self),
            *_check_workers(self),
            *_check_labels(self),
            *_check_evaluation(self),
        ]

    @model_validator(mode="after")
    def _check_across_sections(self) -> TrialConfig:
        if problems := self.problems():
            # Not ValueError, of which pydantic keeps a text: each problem has a path.
            raise PydanticCustomError(
                "across_sections",
                "{count} rules across sections are broken",
                {"count": len(problems), "problems": problems},
            )
        return self


def modality_name(trial: TrialConfig) -> str:
    """``vision``, ``speech``, ``text`` ..."""
    name: str = getattr(trial, "modality")  # noqa: B009 (each type's own literal)
    return name


def _check_modality(trial: TrialConfig) -> list[Problem]:
    objective, modality = trial.objective, modality_name(trial)
    if not objective.modalities or modality in objective.modalities:
        return []
    given = (
        f"{objective.kind}, which is for {' and '.join(sorted(objective.modalities))}"
    )
    message = f"must be an objective for {modality}, got {given}"
    return [Problem("objective.kind", message)]


def _check_sizes(trial: TrialConfig) -> list[Problem]:
    encoder, problems = trial.encoder, []
    if encoder.depth is not None and trial.target.top_k > encoder.depth:
        problems.append(depth_problem(trial.target.top_k, encoder.depth))
    if encoder.width and encoder.num_heads and encoder.width % encoder.num_heads:
        section = modality_name(trial)
        message = f"must divide {section}.width ({encoder.width})"
        problems.append(
            Problem(f"{section}.num_heads", f"{message}, got {encoder.num_heads}")
        )
    return problems


def _check_groups(trial: TrialConfig) -> list[Problem]:
    target, width = trial.target, trial.encoder.width
    if "group" not in (target.layer_norm, target.final_norm):
        if target.num_groups == 1:
            return []
        message = "is for layer_norm or final_norm group; must be 1 without"
        return [Problem("target.num_groups", f"{message}, got {target.num_groups}")]
    if width is not None and width % target.num_groups:
        return [groups_problem(target.num_groups, width)]
    return []


def _check_teacher(trial: TrialConfig) -> list[Problem]:
    given, modality = trial.teacher.input, modality_name(trial)
    if given == "whole" or modality == "text":
        return []
    message = f"{given} is a bug of the reference's text code; must be whole for"
    return [Problem("teacher.input", f"{message} {modality}, got {given}")]


def _check_schedule(trial: TrialConfig) -> list[Problem]:
    optimizer, num_steps, problems = trial.optimizer, trial.training.num_steps, []
    if optimizer.decay != "tri_stage":
        if not optimizer.hold:
            return []
        message = f"is for decay tri_stage; must be 0 with {optimizer.decay}"
        return [Problem("optimizer.hold", f"{message}, got {optimizer.hold}")]
    warmup_steps = resolve_duration(optimizer.warmup, num_steps)
    hold_steps = resolve_duration(optimizer.hold, num_steps)
    if not optimizer.hold:
        message = "must be above 0 for decay tri_stage (speech 0.9, text 0.8)"
        problems.append(Problem("optimizer.hold", f"{message}, got {optimizer.hold}"))
    elif warmup_steps + hold_steps > num_steps:
        message = f"must end, after {warmup_steps} updates of warm-up, within the run"
        given = f"{hold_steps} of {num_steps} updates"
        problems.append(Problem("optimizer.hold", f"{message}, got {given}"))
    if optimizer.final_learning_rate == 0.0:
        message = (
            "must be above 0 for decay tri_stage, which shrinks by a factor, got 0.0"
        )
        problems.append(Problem("optimizer.final_learning_rate", message))
    return problems


def _check_optimizer(trial: TrialConfig) -> list[Problem]:
    optimizer = trial.optimizer
    if optimizer.algorithm != "adamw" or not optimizer.settings:
        return []
    message = "is for an algorithm of your own; must be empty for adamw"
    return [
        Problem("optimizer.settings", f"{message}, got {shown(optimizer.settings)}")
    ]


def _check_workers(trial: TrialConfig) -> list[Problem]:
    execution, problems = trial.execution, []
    num_workers, batch_size = execution.num_workers, trial.training.batch_size
    if batch_size % num_workers:
        message = f"must divide training.batch_size ({batch_size}), got {num_workers}"
        problems.append(Problem("execution.num_workers", message))
    if num_workers > 1 and execution.num_gpus not in (0.0, 1.0):
        message = (
            "must be 0 or 1 with several workers, each needs a GPU of its own, got"
        )
        problems.append(
            Problem("execution.num_gpus", f"{message} {execution.num_gpus}")
        )
    return problems


def _check_labels(trial: TrialConfig) -> list[Problem]:
    data = getattr(trial, "data", None)
    if trial.objective.reads == "unlabelled" or not isinstance(data, UnlabelledData):
        return []
    source = getattr(data, "source")  # noqa: B009 (each source's own literal)
    message = f"must be one that needs no labels with data.source {source}, got"
    return [Problem("objective.kind", f"{message} {trial.objective.kind}")]


def _check_evaluation(trial: TrialConfig) -> list[Problem]:
    evaluation, depth, problems = trial.evaluation, trial.encoder.depth, []
    references = map(reference_in, evaluation.metrics)
    names = [reference.name for reference in references if reference]
    if len(set(names)) < len(names):
        message = "must be functions of different names, under which they are logged"
        given = f"got {shown(', '.join(names))}"
        problems.append(Problem("evaluation.metrics", f"{message}, {given}"))
    if evaluation.num_label_draws > 1 and evaluation.num_labels is None:
        message = "must be 1 where evaluation.num_labels is null, as all draws would be"
        problems.append(
            Problem(
                "evaluation.num_label_draws",
                f"{message} the same, got {evaluation.num_label_draws}",
            )
        )
    if depth is not None and evaluation.num_layers > depth:
        problems.append(num_layers_problem(evaluation.num_layers, depth))
    return problems


def num_layers_problem(num_layers: int, depth: int) -> Problem:
    """The refusal of features from more blocks than the encoder has."""
    return Problem(
        "evaluation.num_layers",
        f"must be at most the encoder's depth ({depth}), got {num_layers}",
    )


def groups_problem(num_groups: int, width: int) -> Problem:
    """The refusal of groups that do not fit the encoder."""
    return Problem(
        "target.num_groups",
        f"must divide the encoder's width ({width}), got {num_groups}",
    )


def depth_problem(top_k: int, depth: int) -> Problem:
    """The refusal of a K that is larger than the encoder."""
    return Problem(
        "target.top_k",
        f"must be at most the encoder's depth ({depth}), got {top_k}",
    )
