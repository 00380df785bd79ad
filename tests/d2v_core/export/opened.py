"""Trained encoders as small as they can be, exported and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from d2v_core.build import build_objective
from d2v_core.config import TrialConfig, modality_name
from d2v_core.encoders.encoder import Encoder
from d2v_core.export.hf_choice import Exported, export_for_objective
from tests.d2v_core.small import fill_with_noise

TOLERANCE: dict[str, float] = {"atol": 1e-4, "rtol": 0.0}


def trained(trial: TrialConfig) -> Encoder:
    """The encoder as training leaves it: no weight is zero or one."""
    encoder = build_objective(trial, num_classes=3).network("student").eval()
    fill_with_noise(encoder)
    with torch.no_grad():  # frames would all become alike
        for name, parameter in encoder.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)
    return encoder


def exported(
    trial: TrialConfig, encoder: Encoder, folder: Path, **preprocessing: Any
) -> Exported:
    return export_for_objective(
        encoder,
        folder,
        modality=modality_name(trial),
        objective=trial.objective,
        preprocessing=preprocessing,
    )


def reopened(folder: Path, kind: type[Any]) -> Any:
    """Opened by its name, missing nothing but a pooler and finding nothing too much."""
    load: Any = AutoModel.from_pretrained
    model, info = load(folder, output_loading_info=True)
    assert type(model) is kind
    assert set(info.pop("missing_keys")) <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert not any(info.values()), info
    return model.eval()
