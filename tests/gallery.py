"""The pictures of the documents, made from the committed results.

    python -m tests.gallery docs/images

Page and scorecard as Chromium shows them, on a wide screen and on a phone, and what a
command prints. Those of MLflow are made by the browser test of its pages, for which
``make gallery`` sets ``D2V_SCREENSHOTS`` to the folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page
from rich.console import Console
from rich.text import Text

from tests.browser import chromium, watched

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "results" / "records.parquet"
SHOWN = ("layer_averaging", "--modality", "vision", "--scale", "smoke")
COLUMNS = 100


def d2v(folder: Path, *arguments: str) -> str:
    """What a command prints to a terminal, colours and all."""
    colours = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "d2v_cli", *arguments],
        cwd=folder,
        env={**os.environ, **colours, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()  # as text every carriage return would be a new line


def terminal(printed: str, command: str) -> str:
    """What was printed, as an SVG of a window."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {command}\n"), Text.from_ansi(printed), sep="\n")
        return console.export_svg(title=command, unique_id="d2v")


def left_standing(printed: str) -> list[str]:
    """The lines without what a spinner overwrites or takes back."""
    lines: list[str] = []
    for line in printed.split("\n"):
        if "\x1b[1A" in line and lines:  # one line up, which is erased
            lines.pop()
        lines.append(line.rsplit("\r", 1)[-1])
    return lines


def drawn(page: Page) -> None:
    """Wait until the charts stand."""
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    page.wait_for_timeout(300)


def make(folder: Path) -> list[Path]:
    """Make all pictures; their files."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, chromium() as browser:
        work = Path(made)
        source = ("report", "--from", str(RECORDS))
        lines = left_standing(d2v(work, *source, *SHOWN))
        kept = [line for line in lines if made not in line]  # a place of no meaning
        command = " ".join(["d2v", "report", *SHOWN])
        window = work / "terminal.html"
        window.write_text(terminal("\n".join(kept), command))
        page = browser.new_page(viewport={"width": 1280, "height": 900}, offline=True)
        page.goto(window.as_uri())
        page.locator("svg").first.screenshot(path=str(folder / "terminal.png"))
        d2v(work, *source, "--all")
        reports = next(work.glob("**/reports"))
        page_at = f"{SHOWN[0]}-vision-smoke/report.html"
        for name, at, width, charts in (
            ("report.png", page_at, 1280, True),
            ("report-phone.png", page_at, 390, True),
            ("scorecard.png", "scorecard.html", 1280, False),
        ):
            seen = watched(browser, (reports / at).as_uri(), width)
            if charts:
                drawn(seen.page)
            seen.page.screenshot(path=str(folder / name))
            assert seen.complaints == [], (name, seen.complaints)
            seen.page.close()
    return sorted(folder.glob("*"))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
