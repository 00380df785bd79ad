"""A kept encoder as a model that ``mlflow.pyfunc.load_model`` opens."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import save_model
from mlflow.pyfunc.model import PythonModel

from d2v_core.config.choices import Network
from d2v_core.loading import LoadedEncoder, load_encoder
from sweeps.tracking.state import quieten_mlflow

ENCODER = "encoder"
"""Name of the kept encoder among the model's artifacts."""
NETWORK = "network"


NEEDED = ("torch", "timm", "numpy")
"""Packages that the model names as its own, beside this project."""


class EncoderModel(PythonModel):
    """Features of samples, as :meth:`d2v_core.loading.LoadedEncoder.features`."""

    _loaded: LoadedEncoder

    def load_context(self, context: Any) -> None:
        """Open the encoder."""
        place, network = context.artifacts[ENCODER], context.model_config[NETWORK]
        self._loaded = load_encoder(place, network)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """One vector per sample; of a table, the first column holds the samples."""
        if isinstance(model_input, pd.DataFrame):
            model_input = model_input.iloc[:, 0].tolist()
        return self._loaded.features(model_input)


def save_encoder_model(kept: Path, folder: Path, network: Network) -> None:
    """Write an MLflow model around a kept encoder.

    Who opens it needs this project installed, not its storage folder.

    Args:
        kept: Folder of the encoder, which is copied.
        folder: Is made; must not be there, or be empty.
        network: Student or teacher.
    """
    quieten_mlflow()
    save_model(
        path=str(folder),
        python_model=__file__,  # as code: a pickled object is a warning to its users
        artifacts={ENCODER: str(kept)},
        model_config={NETWORK: network},
        pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
    )


set_model(EncoderModel())  # MLflow executes a copy of this file to open a model
