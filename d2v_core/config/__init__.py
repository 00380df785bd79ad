"""The configuration of a trial as frozen data: one section per concern.

A new setting is a field with a default and a docstring; a choice of several values is
named in ``choices.py``. Nothing here imports torch.
"""

from d2v_core.config.base import Section, is_identity, leaves
from d2v_core.config.objective import (
    CosineTau,
    Data2VecObjective,
    L1Loss,
    L2Loss,
    LinearTau,
    SmoothL1Loss,
    SupervisedObjective,
    TargetConfig,
    TeacherConfig,
    UntrainedObjective,
)
from d2v_core.config.parsing import parse_section, parse_trial
from d2v_core.config.registry import TRIAL_TYPES
from d2v_core.config.trial import TrialConfig, modality_name
from d2v_core.config.vision import VisionTrial

__all__ = [
    "TRIAL_TYPES",
    "CosineTau",
    "Data2VecObjective",
    "L1Loss",
    "L2Loss",
    "LinearTau",
    "Section",
    "SmoothL1Loss",
    "SupervisedObjective",
    "TargetConfig",
    "TeacherConfig",
    "TrialConfig",
    "UntrainedObjective",
    "VisionTrial",
    "is_identity",
    "leaves",
    "modality_name",
    "parse_section",
    "parse_trial",
]
