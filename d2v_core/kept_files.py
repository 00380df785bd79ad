"""A folder of kept weights that appears whole or not at all, and is checked when read.

``encoder.json`` and, for each network, its weights as safetensors. Every file is
checked against its digest, so whatever is read is what was written. Importing this
needs no torch: a driver only asks what there is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from d2v_core.config.choices import Network

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
DESCRIPTION = "encoder.json"


class BrokenEncoderError(ValueError):
    """A kept encoder cannot be read: cut short, garbled, or of another version."""


def write_kept(
    folder: Path,
    about: Mapping[str, Any],
    networks: Mapping[Network, Mapping[str, Tensor]],
) -> None:
    """Write the folder, whole or not at all; one that is there is replaced.

    Args:
        folder: Where.
        about: Anything JSON takes.
        networks: Weights by network.
    """
    from safetensors.torch import save

    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        part.chmod(0o755)  # mkdtemp's is for nobody else, kept encoders are shared
        files = {}
        for name, weights in networks.items():
            content = save(dict(weights), metadata={"format": "pt"})
            _write(part / f"{name}.safetensors", content)
            files[name] = {"bytes": len(content), "sha256": _digest(content)}
        # As it will be read: sealed like that.
        sealed = json.loads(json.dumps({**about, "files": files}))
        text = json.dumps({"version": VERSION, "about": sealed, **_sealed(sealed)})
        _write(part / DESCRIPTION, text.encode())
        _put(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def read_kept(
    folder: Path, only: str | None = None
) -> tuple[dict[str, Any], dict[Network, dict[str, Tensor]]]:
    """Read what was written about a folder and its networks, checking every digest.

    Args:
        folder: Where.
        only: The one network that is wanted; None: all.

    Raises:
        FileNotFoundError: There is none.
        BrokenEncoderError: It is not what was written, or of another version.
    """
    try:
        content = json.loads((folder / DESCRIPTION).read_bytes())
        if content.get("version") != VERSION:
            version = content.get("version")
            raise BrokenEncoderError(f"must be of version {VERSION}, is of {version}")
        about = content["about"]
        if content["sha256"] != _sealed(about)["sha256"]:
            raise BrokenEncoderError(f"{DESCRIPTION} is not what was written")
        networks = {
            name: _read_weights(folder / f"{name}.safetensors", file)
            for name, file in about.pop("files").items()
            if only in (None, name)
        }
    except BrokenEncoderError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise BrokenEncoderError(f"{DESCRIPTION} is garbled ({error})") from None
    return about, networks


def is_kept(folder: Path) -> bool:
    """Whether an encoder was written there; its digests are looked at when read."""
    return (folder / DESCRIPTION).is_file()


def _read_weights(file: Path, known: Mapping[str, Any]) -> dict[str, Tensor]:
    from safetensors.torch import load

    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise BrokenEncoderError(f"{file.name} is missing") from None
    if len(content) != known["bytes"]:
        sizes = f"has {len(content):,} of {known['bytes']:,} bytes"
        raise BrokenEncoderError(f"{file.name} {sizes}")
    if _digest(content) != known["sha256"]:
        raise BrokenEncoderError(f"{file.name} is not what was written")
    weights: dict[str, Tensor] = load(content)
    return weights


def _sealed(about: Mapping[str, Any]) -> dict[str, str]:
    return {"sha256": _digest(json.dumps(about, sort_keys=True).encode())}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _put(part: Path, folder: Path) -> None:
    """Give a folder its name; two that finish together leave either, both whole."""
    while True:
        try:
            os.rename(part, folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(folder)
        else:
            return
