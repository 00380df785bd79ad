"""Ctrl-C: once to stop after saving, twice to stop at once.

The first one leaves a file in the storage folder that the workers, wherever they run,
look for after every progress report.
"""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType


class StopRequest:
    """Whether this run is to stop.

    Args:
        storage: Folder the workers can see.

    Attributes:
        file: Exists once someone asked.
        made: Likewise, in this process.
    """

    def __init__(self, storage: Path) -> None:
        self.file = storage / "stops" / uuid.uuid4().hex
        self.made = False

    def make(self) -> None:
        """Ask the running trials to save and end, and no other to start."""
        self.made = True
        with suppress(OSError):  # a full disk stops them all the same
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.touch()

    @contextmanager
    def on_interrupt(self, say: Callable[[str], None]) -> Iterator[None]:
        """Listen to Ctrl-C (and SIGTERM) while the context is open.

        Args:
            say: Tells a person that it was heard.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self.made:
                raise KeyboardInterrupt
            self.make()
            say("stopping: running trials save first; Ctrl-C again stops at once")

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
            self.file.unlink(missing_ok=True)
