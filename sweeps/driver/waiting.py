"""A line that moves on a terminal while nothing else is to be seen."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from rich.console import Console


def busy(console: Console, what: str) -> AbstractContextManager[object]:
    """Show what is done while the context is open; elsewhere than on a terminal, not.

    Args:
        console: May be printed to meanwhile.
        what: A few words.
    """
    return console.status(f"{what} …") if console.is_terminal else nullcontext()
