"""Weights that an encoder begins with instead of random ones: ``init_from``.

They come from a kept encoder (``encoders/<training key>`` of a storage folder), from a
folder that timm or ``d2v export`` wrote, or from a file of weights as timm names them.
What the file has no weights for, like the mask token, keeps its random ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from d2v_core.errors import ConfigError, Problem
from d2v_core.kept_files import BrokenEncoderError, is_kept, read_kept
from d2v_core.weights_files import SETTING, weights_file

SHOWN = 3
"""Weights that a message lists."""
MAX_REASON = 200
OF_A_BLOCK = re.compile(r"(blocks|layers)\.\d+\.")


def load_initial_weights(encoder: nn.Module, place: str) -> None:
    """Put the weights into an encoder of the same sizes; on meta, only check them.

    Args:
        encoder: Any encoder of ours.
        place: As ``init_from``.

    Raises:
        ConfigError: The file is not there or broken, or of another encoder.
    """
    file = weights_file(place)
    stat = file.stat()
    read = _read(file, (stat.st_ino, stat.st_size, stat.st_mtime_ns))
    own = encoder.state_dict()
    loadable = {k: v for k, v in _named_alike(read, own).items() if k in own}
    wrong = [
        f"{name} is {tuple(value.shape)}, must be {tuple(own[name].shape)}"
        for name, value in loadable.items()
        if value.shape != own[name].shape
    ]
    of_blocks = {name for name in own if OF_A_BLOCK.search(name)}
    if missing := sorted(of_blocks - loadable.keys()):
        some = ", ".join(missing[:SHOWN])
        wrong.append(f"{len(missing)} weights of blocks are missing: {some} …")
    if wrong:
        message = "must hold weights of the encoder that is configured"
        text = f"{message}; {'; '.join(wrong[:SHOWN])} (in {file})"
        raise ConfigError([Problem(SETTING, text)])
    if not any(value.is_meta for value in own.values()):
        encoder.load_state_dict(loadable, strict=False)


@lru_cache(maxsize=2)
def _read(file: Path, state: tuple[int, ...]) -> Mapping[str, Tensor]:
    """The weights on the CPU; a study's arms share them."""
    from timm.models import clean_state_dict, load_state_dict

    try:
        if is_kept(file.parent):
            networks = read_kept(file.parent, only=file.stem)[1]
            return {str(name): weights for name, weights in networks.items()}[file.stem]
        with torch.device("cpu"):
            read = load_state_dict(str(file), weights_only=True)
        return {k: v for k, v in clean_state_dict(read).items() if _is_tensor(v)}
    except BrokenEncoderError as error:
        reason = str(error)
    except Exception as error:  # whatever safetensors and pickle make of a broken file
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:MAX_REASON]
    raise ConfigError([Problem(SETTING, f"{file} cannot be read: {reason}")])


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _named_alike(
    read: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """The weights under our names: timm's and those of exports lack a prefix."""
    if any(name in own for name in read if OF_A_BLOCK.search(name)):
        return read
    return {f"vit.{name}": value for name, value in read.items()}
