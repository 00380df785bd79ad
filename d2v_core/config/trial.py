"""The configuration of one trial: every section, and the rules that span sections."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from d2v_core.config.base import Section
from d2v_core.config.objective import (
    Data2VecObjective,
    HeadConfig,
    HealthConfig,
    Loss,
    Objective,
    SmoothL1Loss,
    TargetConfig,
    TeacherConfig,
)
from d2v_core.config.training import (
    EvaluationConfig,
    ExecutionConfig,
    OptimizerConfig,
    TrainingConfig,
)
from d2v_core.config.vision import (
    AugmentationConfig,
    BlockMask,
    TorchvisionData,
    VisionData,
    VisionEncoderConfig,
    VisionMask,
)
from d2v_core.errors import Problem
from d2v_core.schedules import resolve_duration


class TrialConfig(Section):
    """What every modality's trial has; concrete trials add encoder, masks and data."""

    objective: Objective = Data2VecObjective()
    """What is trained: ``data2vec``, or a reference arm."""
    target: TargetConfig = TargetConfig()
    """Which teacher activations are predicted."""
    teacher: TeacherConfig = TeacherConfig()
    """How the teacher follows the student."""
    loss: Loss = SmoothL1Loss()
    """Distance between prediction and target, averaged over masked positions."""
    head: HeadConfig = HeadConfig()
    """The student's regression head."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser and learning-rate schedule."""
    training: TrainingConfig = TrainingConfig()
    """Length and batch size."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """The frozen evaluation protocol."""
    health: HealthConfig = HealthConfig()
    """When targets or predictions count as collapsed."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of initial weights, data order, masks, augmentation and label subset."""
    execution: ExecutionConfig = ExecutionConfig()
    """Where and how fast; not part of the trial's identity."""


class VisionTrial(TrialConfig):
    """One vision trial."""

    modality: Literal["vision"] = "vision"
    """Discriminates the trial types."""
    vision: VisionEncoderConfig = VisionEncoderConfig()
    """The encoder."""
    mask: VisionMask = BlockMask()
    """Which patches the student does not see."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of the training images."""
    data: VisionData = TorchvisionData(source="imagenet")
    """Where images and labels come from."""

    @model_validator(mode="after")
    def _check_across_sections(self) -> VisionTrial:
        problems = _check_sizes(self) + _check_groups(self) + _check_schedule(self)
        if problems:
            raise PydanticCustomError(
                "across_sections",
                "{count} rules across sections are broken",
                {"count": len(problems), "problems": problems},
            )
        return self


TRIAL_TYPES: dict[str, type[TrialConfig]] = {"vision": VisionTrial}
"""The trial type of each modality that exists."""


def _check_sizes(trial: VisionTrial) -> list[Problem]:
    vision, problems = trial.vision, []
    if vision.depth is not None and trial.target.top_k > vision.depth:
        problems.append(depth_problem(trial.target.top_k, vision.depth))
    if vision.patch_size is not None and vision.image_size % vision.patch_size:
        problems.append(
            Problem(
                "vision.patch_size",
                f"must divide vision.image_size ({vision.image_size}), "
                f"got {vision.patch_size}",
            )
        )
    if vision.width and vision.num_heads and vision.width % vision.num_heads:
        problems.append(
            Problem(
                "vision.num_heads",
                f"must divide vision.width ({vision.width}), got {vision.num_heads}",
            )
        )
    return problems


def _check_groups(trial: VisionTrial) -> list[Problem]:
    target, width = trial.target, trial.vision.width
    if "group" not in (target.layer_norm, target.final_norm):
        if target.num_groups == 1:
            return []
        rule = "is for layer_norm or final_norm group; must be 1 without"
        return [Problem("target.num_groups", f"{rule}, got {target.num_groups}")]
    if width is not None and width % target.num_groups:
        return [groups_problem(target.num_groups, width)]
    return []


def _check_schedule(trial: TrialConfig) -> list[Problem]:
    optimizer, num_steps, problems = trial.optimizer, trial.training.num_steps, []
    if optimizer.decay != "tri_stage":
        if not optimizer.hold:
            return []
        rule = f"is for decay tri_stage; must be 0 with {optimizer.decay}"
        return [Problem("optimizer.hold", f"{rule}, got {optimizer.hold}")]
    warmup_steps = resolve_duration(optimizer.warmup, num_steps)
    hold_steps = resolve_duration(optimizer.hold, num_steps)
    if not optimizer.hold:
        rule = "must be above 0 for decay tri_stage (speech 0.9, text 0.8)"
        problems.append(Problem("optimizer.hold", f"{rule}, got {optimizer.hold}"))
    elif warmup_steps + hold_steps > num_steps:
        rule = f"must end, after {warmup_steps} updates of warm-up, within the run"
        given = f"{hold_steps} of {num_steps} updates"
        problems.append(Problem("optimizer.hold", f"{rule}, got {given}"))
    if optimizer.final_learning_rate == 0.0:
        rule = "must be above 0 for decay tri_stage, which shrinks by a factor, got 0.0"
        problems.append(Problem("optimizer.final_learning_rate", rule))
    return problems


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
