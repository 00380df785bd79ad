"""Files of weights that an encoder can begin with, found and known by their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from d2v_core.errors import ConfigError, Problem, shown

SETTING = "init_from"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
IN_FOLDERS = ("student.safetensors", "model.safetensors")
"""Files of a kept encoder, and of what timm and ``d2v export`` write."""


TIMM = "timm:"
"""Begins the name of a timm model, whose weights lie in Hugging Face's cache."""


def weights_file(place: str) -> Path:
    """The file of weights that ``init_from`` means; nothing is downloaded.

    Args:
        place: A folder of a kept or exported encoder, a file, or ``timm:NAME``.

    Raises:
        ConfigError: There is none.
    """
    if place.startswith(TIMM):
        return _of_timm(place.removeprefix(TIMM))
    given = Path(place)
    files = [given / name for name in IN_FOLDERS] if given.is_dir() else [given]
    for file in files:
        if file.is_file() and file.suffix in SUFFIXES:
            return file
    folder = f"a folder that holds {' or '.join(IN_FOLDERS)}"
    message = f"must be {folder}, a file *{', *'.join(SUFFIXES)}, or {TIMM}NAME"
    raise ConfigError([Problem(SETTING, f"{message}, got {shown(place)}")])


def _of_timm(name: str) -> Path:
    """Weights of a timm model that were downloaded before."""
    import huggingface_hub
    import timm

    try:
        known = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # the model has no weights under this tag
        known = None
    repository = known.hf_hub_id if known is not None else None
    if not repository:
        message = f"must name a timm model with weights after {TIMM}, got {shown(name)}"
        raise ConfigError([Problem(SETTING, message)])
    for file in ("model.safetensors", "pytorch_model.bin"):
        cached = huggingface_hub.try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return Path(cached)
    message = f"must be on disk already, {repository} is not in Hugging Face's cache"
    remedy = f"download it once (hf download {repository}), or give a file"
    raise ConfigError([Problem(SETTING, f"{TIMM}{name}: {message}; {remedy}")])


def weights_digest(place: str | None) -> str:
    """Digest of the weights, 16 hex digits; empty: random ones.

    Raises:
        ConfigError: They are not there.
    """
    if place is None:
        return ""
    file = weights_file(place)
    stat = file.stat()
    return _digest(file, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=64)
def _digest(file: Path, state: tuple[int, ...]) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
