"""What takes long says how far it is: a line after some seconds, then now and then.

Lines go to the logger ``d2v_core.data`` at level INFO; who wants to see them listens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

LOGGER = logging.getLogger("d2v_core.data")
FIRST_SECONDS = 2.0
"""What is done by then says nothing."""
NEXT_SECONDS = 10.0

Item = TypeVar("Item")


def with_progress(
    items: Iterable[Item], doing: str, total: int, unit: str
) -> Iterator[Item]:
    """Pass items on and tell how many have come: ``decoding 60,000 images … 20 %``.

    Args:
        items: So many as ``total``.
        doing: ``decoding``.
        total: How many there are.
        unit: What they are, in the plural.
    """
    start = time.monotonic()
    due = start + FIRST_SECONDS
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now < due:
            continue
        due = now + NEXT_SECONDS
        left = round((now - start) * (total - done) / done)
        LOGGER.info(
            "%s %s %s … %.0f %%, about %d:%02d left",
            *(doing, f"{total:,}", unit, 100.0 * done / total, *divmod(left, 60)),
        )
