"""Kept encoders: one folder each, named by its training key, below ``encoders``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from d2v_core.files import set_aside
from d2v_core.kept_files import BrokenEncoderError, is_kept

if TYPE_CHECKING:
    from d2v_core.trained import TrainedEncoder

KEY = re.compile(r"[0-9a-f]{16}")
AGAIN = "and it is trained again"


@dataclass(frozen=True)
class EncoderStore:
    """The encoders that are kept in a storage folder.

    Attributes:
        folder: ``encoders`` of the storage folder.
    """

    folder: Path

    def place(self, training: str) -> Path:
        """Folder of one encoder, whether or not it is there."""
        return self.folder / training

    def has(self, training: str) -> bool:
        """Whether an encoder is kept; what it holds is checked when it is read."""
        return is_kept(self.place(training))

    def read(self, training: str) -> TrainedEncoder | None:
        """Read an encoder; None without one, or if it is broken, which is said."""
        from d2v_core.trained import read_trained  # torch: the driver seldom needs it

        try:
            return read_trained(self.place(training))
        except FileNotFoundError:
            return None
        except BrokenEncoderError as error:
            self.set_aside(training, str(error))
            return None

    def set_aside(self, training: str, reason: str) -> None:
        """Rename a broken encoder, and say so; an older broken one goes."""
        place = self.place(training)
        shutil.rmtree(place.with_name(f"{place.name}.torn"), ignore_errors=True)
        set_aside(place, f"this encoder cannot be used: {reason}", AGAIN)

    def write(self, training: str, trained: TrainedEncoder) -> None:
        """Keep an encoder, whole or not at all."""
        from d2v_core.trained import write_trained

        write_trained(self.place(training), trained)

    def remove(self, training: str) -> None:
        """Keep an encoder no longer."""
        shutil.rmtree(self.place(training), ignore_errors=True)

    def keys(self) -> Iterator[str]:
        """Training keys of all that are kept."""
        if self.folder.is_dir():
            for place in sorted(self.folder.iterdir()):
                if KEY.fullmatch(place.name) and is_kept(place):
                    yield place.name

    def broken(self) -> list[Path]:
        """Folders of encoders that were set aside."""
        return sorted(self.folder.glob("*.torn"))

    def num_bytes(self, training: str) -> int:
        """Size of an encoder on the disk; 0 if it is not there."""
        files = self.place(training).glob("*")
        return sum(file.stat().st_size for file in files if file.is_file())
