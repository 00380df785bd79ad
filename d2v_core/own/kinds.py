"""What is wanted of the user's own code, by what it is for.

``docs/extending.md`` has an example of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a function is called with, and what it gives.

    Attributes:
        arguments: Given in this order; settings follow as keyword arguments.
        gives: What it must give, in words.
    """

    arguments: tuple[str, ...]
    gives: str

    def call(self, name: str) -> str:
        """The call and its result, for messages."""
        return f"{name}({', '.join(self.arguments)}) -> {self.gives}"


NORM = "target normalisation"
FEATURE = "target feature"
TAU, DECAY = "tau schedule", "learning-rate decay"
OPTIMISER = "optimiser"
ENCODER, OBJECTIVE = "encoder", "objective"
METRIC, AUGMENTATION, DATA = "metric", "augmentation", "data source"
AUDIO, TEXTS = "audio source", "text source"
PATCH_MASK, FRAME_MASK, TOKEN_MASK = "patch mask", "frame mask", "token mask"

KINDS: Mapping[str, Kind] = {
    NORM: Kind(
        ("features", "real"),
        "float tensor shaped like features (batch, tokens, dim)",
    ),
    FEATURE: Kind(("activations",), "float tensor (batch, tokens, dim)"),
    TAU: Kind(("step", "num_steps"), "float from 0 to 1"),
    DECAY: Kind(("progress",), "float from 0 to 1"),
    OPTIMISER: Kind(
        ("groups", "learning_rate"), "torch.optim.Optimizer of all parameters in groups"
    ),
    METRIC: Kind(("features", "labels"), "finite float"),
    AUGMENTATION: Kind(
        ("images", "generator"),
        "uint8 tensor shaped like images (batch, channels, height, width)",
    ),
    DATA: Kind(
        ("root", "image_size", "channels"),
        "train, valid and test, each with images (uint8, of shape images, channels, "
        "image_size, image_size) and labels",
    ),
    AUDIO: Kind(
        ("root",),
        "train, valid and test, each a mapping with waves (float, 16 kHz), perhaps "
        "texts, labels",
    ),
    TEXTS: Kind(("root",), "list of texts"),
    ENCODER: Kind(
        ("config",),
        "torch module with patch_embed, blocks (a ModuleList) and norm",
    ),
    OBJECTIVE: Kind(
        ("trial", "encoder", "modality", "num_classes", "workers"),
        "d2v_core.objectives.protocol.Objective",
    ),
    PATCH_MASK: Kind(
        ("batch_size", "grid", "generator"),
        "bool array (batch, rows, columns), true at hidden patches",
    ),
    FRAME_MASK: Kind(
        ("lengths", "generator"), "bool array (rows, longest), true at hidden frames"
    ),
    TOKEN_MASK: Kind(
        ("fixed", "generator"),
        "bool array shaped like fixed (rows, tokens), true at hidden tokens",
    ),
}
"""By the name that messages and ``docs/extending.md`` use."""
