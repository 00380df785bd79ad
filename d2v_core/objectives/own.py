"""The user's own objective: built by their function, and tried on a few samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from d2v_core.config.choices import Network
from d2v_core.config.objective import OwnObjective
from d2v_core.config.trial import TrialConfig
from d2v_core.encoders.encoder import Encoder
from d2v_core.objectives.protocol import Objective, StepResult
from d2v_core.own.kinds import OBJECTIVE
from d2v_core.own.loading import own, tried
from d2v_core.training.parallel import ALONE, Workers

if TYPE_CHECKING:
    from d2v_core.modalities.modality import Modality

PATH = "objective.function"
NUM_SAMPLES = 4


def build(
    trial: TrialConfig,
    encoder: Encoder,
    *,
    modality: Modality[Any, Any, Any],
    num_classes: int,
    workers: Workers,
) -> Objective:
    """Call the user's function; before, with an encoder of its own, for one update.

    Raises:
        ConfigError: It cannot be used.
    """
    section = trial.objective
    assert isinstance(section, OwnObjective)
    function = own(trial, PATH, OBJECTIVE, section.function, section.settings)

    def built(around: Encoder, those: Workers) -> Objective:
        made = function(trial, around, modality, num_classes, those)
        return checked(made, around)

    def one_update() -> None:
        objective = built(modality.build_encoder(trial), ALONE)
        inputs = modality.example(trial, NUM_SAMPLES)
        if inputs is not None:
            _update(objective, inputs)

    tried(PATH, OBJECTIVE, section.function, one_update)
    return built(encoder, workers)


def checked(made: Any, encoder: Encoder) -> Objective:
    """What the function gave, if the training loop can use it.

    Raises:
        ValueError: It lacks something.
    """
    if not isinstance(made, Objective):
        wanted = [n for n in dir(Objective) if not n.startswith("_")] + ["module"]
        lacks = sorted({name for name in wanted if not hasattr(made, name)})
        raise ValueError(f"gave a {type(made).__name__}, without {', '.join(lacks)}")
    if not isinstance(made.module, nn.ModuleDict):
        raise ValueError(f"module must be an nn.ModuleDict, is {type(made.module)}")
    trained = {id(parameter) for parameter in made.module.parameters()}
    if not any(id(parameter) in trained for parameter in encoder.parameters()):
        raise ValueError("module must hold the encoder, which is what is evaluated")
    return made


@torch.enable_grad()
def _update(objective: Objective, inputs: Any) -> None:
    """Everything the loop does with it, but the optimiser's part."""
    labels = torch.zeros(NUM_SAMPLES, dtype=torch.int64)
    result = objective.loss(inputs, labels, objective.draw(inputs, 1), 1)
    if not isinstance(result, StepResult):
        raise ValueError(f"loss must give a StepResult, gives {type(result).__name__}")
    if not isinstance(result.loss, Tensor) or result.loss.shape != ():
        raise ValueError("the loss must be a tensor of shape ()")
    torch.autograd.backward(result.loss)
    result.measure()
    objective.after_update(1)
    objective.load_extra_state(objective.extra_state())
    which: Network
    for which in ("student", "teacher"):
        network = objective.network(which)
        if not isinstance(network, Encoder):
            raise ValueError(f"network({which!r}) gives a {type(network).__name__}")
