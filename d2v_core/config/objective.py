"""Settings of the objective: targets, teacher, loss, head and collapse detection.

Defaults are the published ViT-B recipe (arXiv 2202.03555v3 section 4.1 and the authors'
``data2vec_vision`` README at af9a3634) unless a field says otherwise.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, StrictFloat

from d2v_core.config.base import ObjectiveSection, Section
from d2v_core.config.baselines import Baseline
from d2v_core.config.bounds import MAX_DEPTH, MAX_FACTOR, MAX_STEPS, MAX_WIDTH
from d2v_core.config.bounds import Duration as Duration
from d2v_core.config.choices import (
    Combination,
    Feature,
    Initialisation,
    Labelling,
    LossTotal,
    Normalisation,
    Part,
)
from d2v_core.config.data2vec2 import Data2Vec2Objective
from d2v_core.config.own import OwnFunction, OwnSettings, TakesOwn
from d2v_core.config.tau import ConstantTau as ConstantTau
from d2v_core.config.tau import CosineTau as CosineTau
from d2v_core.config.tau import HorizonTau as HorizonTau
from d2v_core.config.tau import LinearTau as LinearTau
from d2v_core.config.tau import OwnTau as OwnTau
from d2v_core.config.tau import Tau

LossScale = (
    Annotated[StrictFloat, Field(gt=0.0, le=MAX_FACTOR, allow_inf_nan=False)]
    | LossTotal
)
"""Multiplies the loss, which is the mean over all elements (masked positions times
channels), as vision's is: 1. ``inverse_sqrt_dim`` gives the sum over channels divided
by their root (mean times sqrt(dim)), speech's loss; ``sum`` gives the sum over channels
(mean times dim), text's with ``loss_scale`` 1. Adam divides the scale out again: it
matters through gradient clipping and epsilon only."""


class Data2VecObjective(ObjectiveSection):
    """Masked prediction of an EMA teacher's averaged top layers.

    The variance term of the paper's section 6, which "works but adds hyper-parameters",
    is a hinge on the deviation of each channel of the predictions, as in VICReg.
    """

    kind: Literal["data2vec"] = "data2vec"
    uses: ClassVar[frozenset[str]] = frozenset(
        {
            "mask",
            "target",
            "teacher",
            "loss",
            "head",
            "health",
            "augmentation",
            "optimizer",
            "training",
        }
    )
    variance_weight: float = Field(0.0, ge=0.0, le=MAX_FACTOR)
    """Weight of the hinge; 0, as published: none."""
    variance_margin: float = Field(0.5, gt=0.0, le=MAX_FACTOR)
    """Deviation over the masked positions of a batch above which a channel adds nothing
    (``data2vec_vision``, whose own weight ``var_w0`` is 0 too)."""


class SupervisedObjective(ObjectiveSection):
    """Reference arm: the same encoder trained from scratch on all training labels."""

    kind: Literal["supervised"] = "supervised"
    uses: ClassVar[frozenset[str]] = frozenset(
        {"augmentation", "optimizer", "training"}
    )
    reads: ClassVar[Labelling] = "labelled"
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the probability spread over all classes."""


class UntrainedObjective(ObjectiveSection):
    """Reference arm: the encoder as initialised; nothing is trained but the probe."""

    kind: Literal["untrained"] = "untrained"
    trains: ClassVar[bool] = False


class OwnObjective(ObjectiveSection):
    """What the user's own function optimises; it may read every section."""

    kind: Literal["own"] = "own"
    uses: ClassVar[frozenset[str]] = Data2VecObjective.uses
    function: Annotated[OwnFunction, TakesOwn("objective", "settings")]
    """Builds the objective around an encoder: ``own.py:function``."""
    settings: OwnSettings = {}
    """Keyword arguments of the function."""


AnyObjective = (
    Data2VecObjective
    | Data2Vec2Objective
    | SupervisedObjective
    | UntrainedObjective
    | OwnObjective
    | Baseline
)
Objective = Annotated[AnyObjective, Field(discriminator="kind")]
OPTIONAL_SECTIONS = frozenset().union(*(kind.uses for kind in get_args(AnyObjective)))
"""Sections that an objective may leave unused; then they are not identity."""


Norm = Normalisation | Annotated[OwnFunction, TakesOwn("target normalisation")]
"""One of ours, or the user's own."""


class TargetConfig(Section):
    """The teacher activations that become the regression target (paper section 3.3)."""

    top_k: int = Field(6, ge=1, le=MAX_DEPTH)
    """K, the number of top layers averaged; at most the encoder's depth."""

    feature: Feature | Annotated[OwnFunction, TakesOwn("target feature")] = "block"
    """``ffn`` and ``attention`` are taken before the residual addition (after layer
    scale); ``ffn_residual`` after it and before a closing norm; ``block`` is the end of
    the block. In pre-norm blocks the last two are the same tensor. The paper's footnote
    5 says FFN "generally"; the released ViT-B command says ``end`` (block)."""

    layer_norm: Norm = "layer"
    """Parameter-free normalisation of each layer before averaging. ``instance`` is over
    the tokens of one sample per channel, ``batch`` over tokens and samples per channel,
    ``layer`` over the channels of one token, ``group`` over the tokens of one sample
    and the channels of one group (fairseq ``group_norm_target_layer``, which as
    released takes the wrong axes and is used by no shipped recipe)."""

    final_norm: Norm = "layer"
    """Normalisation of the average, one of the same choices (README:
    ``--post_target_layer_norm``). Departure: ``instance`` is over the tokens of each
    sample here too; fairseq's ``instance_norm_targets`` without an instance or batch
    norm before it is over the samples of the batch. One norm only: the references take
    two in a row, fairseq layer then instance, vision the other way round."""

    combine: Combination = "average"
    """``average``: the mean of the layers is predicted. ``separate``: each layer is, by
    a head of its own, and the loss is the mean over layers; ``final_norm`` is then
    applied to each. The paper's section 3.3 found both equally good."""

    num_groups: int = Field(1, ge=1, le=MAX_WIDTH)
    """Groups of neighbouring channels for ``group``, as in PyTorch's GroupNorm; must
    divide the encoder's width."""


def _canonical(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts sorted and each once: the same choice is the same identity."""
    return tuple(sorted(set(parts)))


class TeacherConfig(Section):
    """The exponentially moving average of the student (paper section 3.3)."""

    tau: Tau = ConstantTau()
    """Schedule of the EMA decay; the released ViT-B recipe keeps 0.9998."""
    shares: Annotated[tuple[Part, ...], AfterValidator(_canonical)] = Field(
        (), strict=False
    )
    """Parts the teacher takes from the student at every update instead of averaging
    them; order and repetition do not matter. The paper shares the feature encoder and
    the positions (section 3.3: "more efficient and slightly more accurate"); the
    released vision code averages everything. ``positions`` are absolute ones; tables of
    relative positions belong to the attention and are always averaged."""
    context: float | None = Field(None, gt=0.0, le=1.0)
    """Share of the positions that each position of the teacher attends to, the nearest
    ones (paper Figure 3); null: all. Below 1 no position sees the class token, which
    would pass everything on. The student, and the teacher under evaluation, always
    attend to everything."""
    input: Literal["whole", "reference_bug"] = "whole"
    """Input of the teacher. ``whole``: the unmasked input, as the paper says.
    ``reference_bug`` (text only): padding at every unmasked position, as the released
    text code feeds it (``mask_tokens_dataset.py`` 178-185, fairseq #4881)."""


class SmoothL1Loss(Section):
    """Quadratic below ``beta``, linear above (paper section 3.4)."""

    kind: Literal["smooth_l1"] = "smooth_l1"
    beta: float = Field(2.0, gt=0.0, le=MAX_FACTOR)
    """Error at which the quadratic part ends; ViT-B uses 2."""
    scale: LossScale = 1.0
    """Multiplies the mean over elements: by a number (vision 1), by the root of the
    width (``inverse_sqrt_dim``, speech) or by the width (``sum``, text)."""


class L2Loss(Section):
    """Squared error."""

    kind: Literal["l2"] = "l2"
    scale: LossScale = 1.0
    """Multiplies the mean over elements: by a number (vision 1), by the root of the
    width (``inverse_sqrt_dim``, speech) or by the width (``sum``, text)."""


class L1Loss(Section):
    """Absolute error."""

    kind: Literal["l1"] = "l1"
    scale: LossScale = 1.0
    """Multiplies the mean over elements: by a number (vision 1), by the root of the
    width (``inverse_sqrt_dim``, speech) or by the width (``sum``, text)."""


Loss = Annotated[SmoothL1Loss | L2Loss | L1Loss, Field(discriminator="kind")]


HeadInit = Literal["beit", "bert", "pytorch", "timm"]
"""The ways of drawing the head's initial weights, named after who uses them; see
:mod:`d2v_core.objectives.parts.heads`."""


class HeadConfig(Section):
    """The regression head on the student's masked positions."""

    depth: int = Field(1, ge=1, le=4)
    """Linear layers; above 1 the hidden ones are twice as wide with GELU between
    (fairseq ``data2vec_text.py`` 298-310). Vision uses one."""
    init: Initialisation = "reference"
    """Distribution of the initial weights. ``reference``: that of the modality's
    reference, which is ``beit`` for vision (normal 0.02 cut at one standard deviation,
    biases 0), ``pytorch`` for speech (uniform up to 1/sqrt(width), biases too) and
    ``bert`` for text (normal 0.02, biases 0); see
    :func:`d2v_core.objectives.parts.heads.draw_linear`. ``timm``: normal 0.02 without a
    cut that matters, biases 0, in every modality."""


class HealthConfig(Section):
    """Collapse detection, with the reference's measure (``data2vec_audio.py`` 478-517).

    The measured quantity is the mean over channels of the standard deviation over all
    masked positions of the batch. Targets without any norm have no scale of their own:
    theirs, and that of the predictions, is divided by the targets' at the first update.
    """

    min_target_std: float = Field(0.1, ge=0.0, le=MAX_FACTOR)
    """Targets below this are collapsed (fairseq ``min_target_var``, really a std)."""
    min_prediction_std: float = Field(0.01, ge=0.0, le=MAX_FACTOR)
    """Predictions below this are collapsed (fairseq ``min_pred_var``)."""
    after: Duration = 5_000
    """Updates, or fraction of the run, before the check begins (fairseq: 5,000)."""
    check_every: int = Field(25, ge=1, le=MAX_STEPS)
    """Updates between two checks; the last update is always checked."""
    on_collapse: Literal["stop", "continue"] = "stop"
    """Either way the trial's status is ``collapsed``, with step and evidence."""
