"""Takes passwords out of texts before they are written or shown.

Every command line, address and error text that leaves the process goes through
:func:`redacted`: into the store, the event log, a report, the terminal. What is taken
out is a password in an address, a secret named in an assignment, and whatever the
environment says is one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import quote

HIDDEN = "…"
SECRET_NAME = r"(?:password|passwd|pwd|secret|token|credentials?|access_?key|api_?key)"
IN_AUTHORITY = re.compile(r"(\w[\w+.-]*://[^\s/?#:@]*):[^\s/?#]*@")
"""``scheme://user:password@``; a password may hold an ``@`` of its own."""
WITH_SLASH = re.compile(r"(\w[\w+.-]*://[^\s/?#:@\[\]]*):(?!\d*(?:[/?#\s]|$))[^\s]*@")
"""The same with an unescaped ``/``, ``?`` or ``#``; ``host:5000/x@y`` is none."""
IN_QUERY = re.compile(rf"(?i)([?&;][\w-]*{SECRET_NAME}[\w-]*=)[^&;\s'\"]+")
ASSIGNED = re.compile(
    rf"(\b[A-Z0-9_]*{SECRET_NAME.upper()}[A-Z0-9_]*=|\bpassword=)[^\s'\"]+"
)
"""``AWS_SECRET_ACCESS_KEY=…`` in a command, ``password=…`` in a message of libpq."""
NAMES_SECRET = re.compile(rf"(?i){SECRET_NAME}")
NAMES_PLACE = re.compile(r"(?i)(_FILE|_PATH|_DIR|_URL|_URI|_NAME|_TYPE|_ID)$")
LEAST = 4
"""Characters of a secret of the environment that is looked for: shorter ones are words
by chance."""


def redacted(text: str) -> str:
    """The text without passwords; everything else stays, addresses included."""
    for pattern in (IN_AUTHORITY, WITH_SLASH):
        text = pattern.sub(rf"\1:{HIDDEN}@", text)
    text = IN_QUERY.sub(rf"\1{HIDDEN}", text)
    text = ASSIGNED.sub(rf"\1{HIDDEN}", text)
    for secret in _of_environment():
        # Not inside a word or a path: a weak password may be the name of a folder.
        text = re.sub(rf"(?<![\w/-]){re.escape(secret)}(?!\w|[/-]|\.\w)", HIDDEN, text)
    return text


def _of_environment() -> Iterator[str]:
    """Values of variables that are called like secrets, the longest first."""
    values = {
        value
        for name, value in os.environ.items()
        if NAMES_SECRET.search(name) and not NAMES_PLACE.search(name)
    }
    long = [value for value in values if len(value) >= LEAST]
    forms = {form for value in long for form in (value, quote(value, safe=""))}
    yield from sorted(forms, key=len, reverse=True)
