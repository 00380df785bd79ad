"""Tables as LaTeX: their structure, and that a real TeX sets them as they should be."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.study.arms import Request
from reports.statistics.summary import study_result
from reports.tables.latex import escape_latex, to_latex
from reports.tables.table import Table, build_table
from sweeps.plan.planning import make_manifest, plan_study
from tests.reports.test_shipped import PLACES, made_up

ODD = '50% a_b & #1 $x$ {y} ~ ^ \\ | < > [z] "q" \x07 ± − – … × τ Λ é ß ą đ ﬁ Я 中 😀'


def shipped_table(name: str, modality: str) -> Table:
    """With made-up numbers of six seeds."""
    request = Request(modality, "smoke", seeds=tuple(range(6)))
    plan = plan_study(name, request, require_data=False)
    manifest = make_manifest(plan, "")
    frame = made_up(manifest, plan.metric.logged_as, "finished")
    return build_table(study_result(frame, manifest), manifest)


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return [shipped_table(*place) for place in PLACES]


def typeset(texts: Sequence[str], folder: Path, *, packages: str) -> str:
    """What pdflatex has to say about a document of these tables, a page each."""
    document = [
        *(r"\documentclass{article}", packages, r"\begin{document}"),
        *(f"{text}\\clearpage" for text in texts),
        r"\end{document}",
    ]
    (folder / "tables.tex").write_text("\n".join(document), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-2_000:]
    return said


@pytest.mark.thorough
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no TeX is installed")
@pytest.mark.parametrize("encoding", ["OT1", "T1"])
def test_every_shipped_table_typesets_and_fits(
    tables: list[Table], encoding: str, tmp_path: Path
) -> None:
    odd = replace(tables[0], name="odd", title=ODD, caption=ODD)
    fonts = rf"\usepackage[{encoding}]{{fontenc}}"
    said = typeset(
        [to_latex(table) for table in [*tables, odd]],
        tmp_path,
        packages=rf"{fonts}\usepackage{{booktabs,graphicx}}",
    )
    assert f"({len(tables) + 1} pages" in said
    assert "Overfull" not in said


def test_latex_is_a_booktabs_table() -> None:
    table = shipped_table("layer_averaging", "vision")
    text = to_latex(table)
    order = [
        r"\begin{table}",
        r"\caption{",
        r"\label{tab:layer-averaging-vision-smoke}",
        r"\begin{tabular}{llrrrrrl}",
        r"\toprule",
        r"\midrule",
        r"K=1 & 6/6 & 59.90 $\pm$ 1.41 & --",
        r"\midrule",
        "untrained",
        r"\bottomrule",
        r"\end{tabular}",
        r"\textsuperscript{d}\,digitised",
        r"\end{table}",
    ]
    place = 0
    for part in order:
        place = text.index(part, place) + 1
    rows = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()
    cells = [line.count(" & ") for line in rows if line.endswith(r"\\")]
    assert cells == [len(table.columns) - 1] * len(table.rows)


@pytest.mark.thorough
def test_braces_balance_and_nothing_exotic_is_left(tables: list[Table]) -> None:
    assert tables
    for text in map(to_latex, tables):
        opened, closed = (
            text.count(brace) - text.count(rf"\{brace}") for brace in "{}"
        )
        assert opened == closed
        assert text.isascii()


def test_special_characters_are_escaped_and_unknown_ones_named() -> None:
    assert escape_latex(r"50% a_b & #1 $x {y} ~ ^ \ ± − [z]") == (
        r"50\% a\_b \& \#1 \$x \{y\} \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{} $\pm$ $-$ {[}z{]}"
    )
    assert escape_latex("τ Δ λ é ﬁ m²") == r"$\tau$ $\Delta$ $\lambda$ é fi m$^2$"
    assert escape_latex("中 😀") == r"\texttt{U+4E2D} \texttt{U+1F600}"
