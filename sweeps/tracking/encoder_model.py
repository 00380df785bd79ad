"""A kept encoder as a model that ``mlflow.pyfunc.load_model`` opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import timm
import torch
from mlflow.pyfunc import PythonModel, save_model

from d2v_core.config.choices import Network
from d2v_core.loading import LoadedEncoder, load_encoder
from sweeps.tracking.state import quieten_mlflow

ENCODER = "encoder"
"""Name of the kept encoder among the model's artifacts."""
NETWORK = "network"


class EncoderModel(PythonModel):  # type: ignore[misc, no-any-unimported]
    """Features of samples, as :meth:`d2v_core.loading.LoadedEncoder.features`."""

    _loaded: LoadedEncoder

    def load_context(self, context: Any) -> None:
        """Open the encoder."""
        place, network = context.artifacts[ENCODER], context.model_config[NETWORK]
        self._loaded = load_encoder(place, network)

    def predict(self, context: Any, model_input: Any, params: Any = None) -> np.ndarray:
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
        python_model=EncoderModel(),
        artifacts={ENCODER: str(kept)},
        model_config={NETWORK: network},
        pip_requirements=[f"torch=={torch.__version__}", f"timm=={timm.__version__}"],
    )
