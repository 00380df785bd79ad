"""Headless Chromium for tests that look at pages as a person does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, sync_playwright


@dataclass
class Watched:
    """A page with what it says and asks for.

    Attributes:
        page: Open.
        complaints: On its console, and in dialogs.
        requests: Addresses.
    """

    page: Page
    complaints: list[str]
    requests: list[str]


def watched(browser: Browser, address: str, width: int) -> Watched:
    """Open a page and listen."""
    found = Watched(browser.new_page(viewport={"width": width, "height": 900}), [], [])
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(address)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """An installed Chromium; skips the test, with the reason, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"]
        )
        try:
            yield browser
        finally:
            browser.close()
