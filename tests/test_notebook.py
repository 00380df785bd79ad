"""The notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "library.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


@pytest.mark.thorough
def test_every_cell_runs(tmp_path: Path) -> None:
    cells = code_cells()
    assert len(cells) > 5
    # As many updates as show that it runs; the notebook has what 600 gave.
    cells = [
        c.replace('"training.num_steps": 600', '"training.num_steps": 20')
        for c in cells
    ]
    assert any('"training.num_steps": 20' in cell for cell in cells)
    check = "assert np.array_equal(again.features(images), features)"
    program = "\n\n".join([*cells, check, "print('done')"])
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:d2v_core", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("done")
