"""The trial of a recipe, as ``d2v train`` and ``d2v export`` read it."""

from __future__ import annotations

from ablations.layers import Layer, located, parse_assignments, resolve, set_layer
from ablations.library import read_recipe
from ablations.study.arms import data_root_layer
from d2v_core.build import check_buildable
from d2v_core.config import TRIAL_TYPES, TrialConfig
from d2v_core.config.parsing import one_of
from d2v_core.errors import ConfigError, Problem


def resolve_recipe(
    recipe: str, *, seed: int, assignments: tuple[str, ...], data_root: str | None
) -> TrialConfig:
    """The trial of a recipe with the options of the command line.

    Raises:
        ConfigError: Every mistake, also of what cannot be built, with its place.
    """
    source = read_recipe(recipe)
    data = source.data if isinstance(source.data, dict) else {}
    if "modality" not in data:
        raise source.located([Problem("", "a recipe must name its modality")])
    modality = data["modality"]
    if not isinstance(modality, str) or modality not in TRIAL_TYPES:
        raise source.located([Problem("modality", one_of(TRIAL_TYPES, modality))])
    layer = Layer.from_yaml(source)
    layers = [
        layer,
        *data_root_layer(data_root),
        set_layer({**parse_assignments(assignments, modality), "seed": seed}),
    ]
    trial = resolve(modality, layers)
    try:
        check_buildable(trial)
    except ConfigError as error:
        raise located(error, modality, layers) from None
    return trial
