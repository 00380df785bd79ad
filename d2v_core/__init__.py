"""data2vec on PyTorch and timm: masks, teacher, targets, loss, training, evaluation.

Reference: Baevski et al. 2022, arXiv 2202.03555v3. Usable alone; knows nothing of Ray,
MLflow, Optuna or pandas.

Public, and kept as it is between minor versions: :func:`pretrain`, :func:`evaluate`,
:func:`load_encoder`, the classes they give, and the errors. Other modules are for the
rooms above this one and may change.

Axis names in signatures, everywhere in the package:

==========  ==========================================================
``batch``   samples
``tokens``  positions of the encoder without prefix tokens (patches)
``dim``     channels of the encoder
``masked``  masked positions of the whole batch, pooled
``rows``    rows (and ``columns``) of the patch grid
``height``  pixels (and ``width``)
==========  ==========================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2v_core.api.evaluating import evaluate
    from d2v_core.api.pretraining import Pretrained, pretrain
    from d2v_core.errors import ConfigError, DataError, DivergedError
    from d2v_core.loading import LoadedEncoder, load_encoder

__all__ = [
    "ConfigError",
    "DataError",
    "DivergedError",
    "LoadedEncoder",
    "Pretrained",
    "evaluate",
    "load_encoder",
    "pretrain",
]

_HOMES = {
    "ConfigError": "errors",
    "DataError": "errors",
    "DivergedError": "errors",
    "LoadedEncoder": "loading",
    "Pretrained": "api.pretraining",
    "evaluate": "api.evaluating",
    "load_encoder": "loading",
    "pretrain": "api.pretraining",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: reading a configuration must not load torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'd2v_core' has no attribute {name!r}")
    return getattr(import_module(f"d2v_core.{_HOMES[name]}"), name)
