"""The only file that turns a configuration into networks, with what it builds on.

Each modality builds its encoder, each file in :mod:`d2v_core.objectives` its objective.
"""

from __future__ import annotations

from d2v_core.config.trial import TrialConfig, modality_name, num_layers_problem
from d2v_core.encoders.encoder import Encoder
from d2v_core.errors import ConfigError, Problem
from d2v_core.initial_weights import load_initial_weights
from d2v_core.meta_device import its_own_copy, without_memory
from d2v_core.modalities import modality_of
from d2v_core.objectives import BUILDERS
from d2v_core.objectives.protocol import Objective
from d2v_core.own.loading import check_own
from d2v_core.randomness import global_torch_seed
from d2v_core.training.own import own_decay, own_optimizer
from d2v_core.training.parallel import ALONE, Workers


def build_objective(
    trial: TrialConfig, *, num_classes: int, workers: Workers = ALONE
) -> Objective:
    """The objective with freshly initialised networks.

    Encoder weights depend on the seed alone, so that all arms start alike.

    Args:
        trial: The configuration.
        num_classes: Labels of the data, for a supervised arm; 0: it has none.
        workers: Those that train it together.

    Raises:
        ConfigError: The encoder lacks what the configuration asks for (K blocks, a part
            to share, a width the groups divide ...), or the data has no labels.
    """
    return _around(build_encoder(trial), trial, num_classes, workers)


def build_encoder(trial: TrialConfig) -> Encoder:
    """The encoder with the trial's initial weights."""
    with global_torch_seed(trial.seed, "encoder"):
        encoder: Encoder = modality_of(trial).build_encoder(trial)
    return encoder


def check_buildable(trial: TrialConfig) -> int:
    """Build everything without memory; the number of the encoder's parameters.

    Raises:
        ConfigError: The encoder's library refuses it, or as :func:`build_objective`.
    """
    encoder = build_on_meta(trial)
    check_around(trial, encoder)
    return sum(parameter.numel() for parameter in encoder.parameters())


def default_depth(trial: TrialConfig) -> int:
    """Number of blocks of the encoder.

    Raises:
        ConfigError: As :func:`check_buildable`.
    """
    return build_on_meta(trial).depth


def check_around(trial: TrialConfig, encoder: Encoder) -> None:
    """Build the objective around an encoder, without memory.

    Raises:
        ConfigError: The encoder lacks what the trial asks of it.
    """
    # A teacher of its own would be most of the time of a plan.
    with without_memory(), its_own_copy(encoder):
        _around(encoder, trial, num_classes=1, workers=ALONE)


def _around(
    encoder: Encoder, trial: TrialConfig, num_classes: int, workers: Workers
) -> Objective:
    modality, kind = modality_of(trial), trial.objective.kind
    if kind not in BUILDERS:
        raise ConfigError(
            [Problem("objective.kind", f"{kind} has no builder in d2v_core.objectives")]
        )
    check_own(trial)
    own_optimizer(trial)  # raises if it cannot be used, so does
    own_decay(trial)
    problems, num_layers = modality.check(trial, encoder), trial.evaluation.num_layers
    if num_layers > encoder.depth:
        problems = [*problems, num_layers_problem(num_layers, encoder.depth)]
    if problems:
        raise ConfigError(problems)
    if trial.init_from is not None:
        load_initial_weights(encoder, trial.init_from)
    with global_torch_seed(trial.seed, "head"):
        return BUILDERS[kind](
            trial,
            encoder,
            modality=modality,
            num_classes=num_classes,
            workers=workers,
        )


def build_on_meta(trial: TrialConfig) -> Encoder:
    """The encoder without memory.

    Raises:
        ConfigError: The encoder's library refuses it.
    """
    section = modality_name(trial)
    try:
        with without_memory():
            return build_encoder(trial)
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        path, _, rest = str(error).partition(" ")
        if path.startswith(f"{section}."):
            problem = Problem(path.rstrip(":"), rest)
        else:
            problem = Problem(section, f"cannot be built with these sizes: {error}")
        raise ConfigError([problem]) from None
