"""What a folder of data is understood as, as a page with a few of its samples."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from reports.page.templating import render


@dataclass(frozen=True)
class SampleView:
    """One sample.

    Attributes:
        name: Its file.
        about: In a few words.
        picture: A PNG; None: it is a text.
        text: Its beginning.
    """

    name: str
    about: str
    picture: bytes | None
    text: str

    @property
    def address(self) -> str:
        """The picture inside of the page."""
        assert self.picture is not None
        return f"data:image/png;base64,{base64.b64encode(self.picture).decode('ascii')}"


def data_html(
    folder: str,
    understood: str,
    facts: Sequence[tuple[str, str]],
    warnings: Sequence[str],
    samples: Sequence[SampleView],
    command: str,
) -> str:
    """One file that needs no other; everything that comes from the data is escaped.

    Args:
        folder: Folder of the data.
        understood: As what, in a sentence.
        facts: Names and values.
        warnings: Sentences.
        samples: Some of it.
        command: Uses it.
    """
    return render(
        "data.html",
        folder=folder,
        understood=understood,
        facts=facts,
        warnings=warnings,
        samples=samples,
        command=command,
    )
