"""The two files of an exported encoder: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def write_json(file: Path, data: Mapping[str, Any]) -> None:
    """Write readable JSON, whole or not at all."""
    with _whole(file) as part:
        part.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def write_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write the weights; ``format: pt`` is what transformers asks for."""
    copies = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    with _whole(folder / WEIGHTS) as part:
        save_file(copies, part, metadata={"format": "pt"})


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A file beside ``file`` that takes its place once it is complete.

    Its permissions are the user's usual ones: exported folders are for others.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    yield part
    part.replace(file)


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights.

    Raises:
        ValueError: A file is missing or is not what its name says.
    """
    for file in (folder / CONFIG, folder / WEIGHTS):
        if not file.is_file():
            raise ValueError(f"{file}: no such file; save the model with safetensors")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"{folder}: cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{folder / CONFIG}: must be a JSON object")
    return config, weights
