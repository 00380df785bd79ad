"""Docstrings begin with a verb or a noun phrase that stands alone."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("d2v_core", "ablations", "sweeps", "reports", "d2v_cli", "benchmarks")
LEANS_ON_ITS_NAME = re.compile(
    r'("""|^\s+[a-z_*]+: )(Of|Whose|Who|What who) [a-z`]', flags=re.MULTILINE
)


def test_no_docstring_leans_on_the_name_it_stands_beside() -> None:
    files = [f for name in (*FOLDERS, "tests") for f in (ROOT / name).rglob("*.py")]
    assert len(files) > 500
    leaning = [
        f"{file.relative_to(ROOT)}: {match.group().strip()}"
        for file in files
        for match in LEANS_ON_ITS_NAME.finditer(file.read_text(encoding="utf-8"))
    ]
    assert not leaning
