"""Warnings of the core, which on a worker nobody would see, go to the driver."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sweeps.worker.outbox import Send

LOGGER = "d2v_core"


@contextmanager
def warnings_sent(send: Send) -> Iterator[None]:
    """Send what the core warns of, like a file that was torn, as ``{"said": ...}``."""
    handler = _Sends(send)
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Sends(logging.Handler):
    def __init__(self, send: Send) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        self._send({"said": record.getMessage()})
