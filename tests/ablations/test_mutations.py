"""Whatever is typed or written is a plan, or an error of ours with its place.

A seeded mutator changes every shipped study, recipe and search space, and makes up
``--set`` options; the functions that the verbs call must either give what they promise
or refuse with the place, within seconds.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablations.library import (
    RECIPES,
    SPACES,
    STUDIES,
    load_study,
    read_space,
    read_study,
    study_names,
)
from ablations.search.bound_space import bind
from ablations.study.arms import Request, expand
from d2v_cli.recipe import resolve_recipe
from d2v_core.build import check_buildable
from d2v_core.config import TRIAL_TYPES, leaves
from d2v_core.errors import ConfigError

COUNT, MORE = 100, 29
"""Inputs of a test, and how many more such tests are thorough: 3,000 in CI."""
SECONDS = 5.0
"""CPU time that an answer may take."""
WORD = re.compile(r"[A-Za-z0-9_.+-]+")
NASTY = (
    *("", "null", "~", "true", "yes", "x", "²", "٣", "é", "\x85", "\ufeff", "\u2028"),
    *("0", "-1", "1.5", "1e3", "1e400", "-.inf", ".nan", ".inf", "0x10", "0o7", "1_0"),
    *("9" * 30, "9" * 5_000, "0x" + "f" * 5_000, "1e999999999", "1/0", "1/12", "2/1"),
    *("2020-13-45", "2024-01-01", "2020-01-01T99:00:00Z", "12:30:45", "=", "<<", "- x"),
    *("!!int x", "!!int ''", "!!float ''", "!!bool x", "!!null x", "!!binary '?'"),
    *("!!timestamp x", "!!set {a}", "!!omap [a]", "!!python/object:os.system ls"),
    *("!x y", "!<tag:x> y", "&a [*a]", "*a", "&a x", "? [1]", "{? [1] : 2}", "{<<: 1}"),
    *(
        "[",
        "]",
        "{",
        "}",
        "[]",
        "{}",
        "[[]]",
        "[1, 2]",
        "{a: 1}",
        "{1: 2}",
        "{null: 1}",
    ),
    *(
        "[null]",
        "[[1, 2], [3]]",
        "'",
        '"',
        "'x",
        '"\\x"',
        "|",
        ">",
        "|\n  x",
        "#",
        "%",
        "@",
    ),
    *(
        "`",
        "\t",
        "\n",
        "a: b: c",
        ": ",
        "x" * 20_000,
        "[" * 2_000,
        "[" * 300 + "]" * 300,
    ),
    *(
        "data",
        "kind",
        "source",
        "vision",
        "../../x",
        "a.b.c",
        "a..b",
        ".",
        "K=1",
        "all",
    ),
)
PATHS = sorted(
    {path for model in TRIAL_TYPES.values() for path, _ in leaves(model())}
    | {"data", "data.root", "data.folder", "mask", "seed", "modality", "objective"}
    | {"evaluation.fine_tuning", "teacher.tau", "x", "a.b", "target.top_k.x", "", "."}
)
"""In order, so that a seed names the same inputs in every process."""


def mutated(text: str, draw: random.Random) -> str:
    """The text with a few changes, each of a kind that people and editors make."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        lines = text.splitlines(keepends=True) or [""]
        i = draw.randrange(len(lines))
        words = list(WORD.finditer(text))
        match draw.randrange(8):
            case 0 | 1 | 2 if words:
                word = draw.choice(words)
                text = text[: word.start()] + draw.choice(NASTY) + text[word.end() :]
            case 3 if words:
                word, other = draw.choice(words), draw.choice(words)
                text = text[: word.start()] + other.group() + text[word.end() :]
            case 4:
                text = "".join(lines[:i] + lines[i + 1 :])
            case 5:
                text = "".join([*lines[:i], draw.choice(lines), *lines[i:]])
            case 6:
                at = draw.randrange(len(text) + 1)
                text = text[:at] + draw.choice(NASTY) + text[at + draw.randrange(3) :]
            case _:
                spaces = draw.choice(("", " ", "  ", "\t"))
                text = "".join([*lines[:i], spaces, *lines[i:]])
    return text


Answer = Callable[[], object]


def study_answer(text: str, file: Path, draw: random.Random) -> Answer:
    def answer() -> object:
        file.write_text(text, encoding="utf-8", errors="replace")
        read = read_study(str(file))
        modality = draw.choice(list(read.study.metric))
        return expand(read.study, Request(modality, "smoke"), read.source).cells

    return answer


def recipe_answer(text: str, file: Path, draw: random.Random) -> Answer:
    def answer() -> object:
        file.write_text(text, encoding="utf-8", errors="replace")
        return resolve_recipe(
            str(file), seed=0, assignments=(), data_root=draw.choice((None, "/data"))
        )

    return answer


def space_answer(text: str, file: Path, draw: random.Random) -> Answer:
    def answer() -> object:
        file.write_text(text, encoding="utf-8", errors="replace")
        read = read_space(str(file))
        modality = draw.choice(list(read.space.metric))
        return bind(read, Request(modality, "smoke")).parameters

    return answer


def set_answer(draw: random.Random) -> tuple[str, Answer]:
    typed = [
        draw.choice(PATHS) + draw.choice(("=", "=", "=", "=", "", " = ", "=="))
        + draw.choice(NASTY)
        for _ in range(draw.choice((1, 1, 2)))
    ]  # fmt: skip
    name = draw.choice(study_names())

    def answer() -> object:
        study = load_study(name)
        request = Request(draw.choice(list(study.metric)), "smoke", tuple(typed))
        return expand(study, request).cells

    return f"{name} --set {typed}", answer


def inputs(count: int, folder: Path, seed: int) -> Iterator[tuple[str, Answer]]:
    """So many situations, each with what is asked of it."""
    draw = random.Random(seed)
    kinds = {STUDIES: study_answer, RECIPES: recipe_answer, SPACES: space_answer}
    files = [(kind, file) for kind in kinds for file in sorted(kind.glob("*.yaml"))]
    file = folder / "mutant.yaml"
    for i in range(count):
        if i % 3 == 2:
            yield set_answer(draw)
            continue
        kind, shipped = draw.choice(files)
        text = shipped.read_text(encoding="utf-8")
        if kind is STUDIES:  # a shipped name is refused before anything else is
            text = text.replace(f"name: {shipped.stem}\n", "name: mutant\n")
        changed = mutated(text, draw)
        yield f"{shipped.name}:\n{changed[:3_000]}", kinds[kind](changed, file, draw)


def fault(what: str, answer: Answer) -> str | None:
    """Why an answer is not one that was promised."""
    began = time.process_time()
    try:
        answer()
    except ConfigError as error:
        lines = [str(problem) for problem in error.problems]
        if not lines or not all(problem.path for problem in error.problems):
            return f"no place: {lines}\n{what}"
        if any(len(line) > 2_000 for line in lines):
            return f"an endless message\n{what}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}\n{what}"
    if (seconds := time.process_time() - began) > SECONDS:
        return f"{seconds:.1f} s\n{what}"
    return None


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import what the first answers of a process would be timed with."""
    for modality in TRIAL_TYPES:
        recipe = f"{modality}-smoke"
        check_buildable(resolve_recipe(recipe, seed=0, assignments=(), data_root=None))


@pytest.mark.parametrize(
    "seed",
    [20, *(pytest.param(21 + i, marks=pytest.mark.thorough) for i in range(MORE))],
)
def test_everything_is_a_plan_or_an_error_of_ours(tmp_path: Path, seed: int) -> None:
    situations = list(inputs(COUNT, tmp_path, seed))
    faults = [found for what, answer in situations if (found := fault(what, answer))]
    assert len(situations) == COUNT
    assert not faults, f"{len(faults)} of {COUNT}:\n\n" + "\n\n".join(faults[:5])
