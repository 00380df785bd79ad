"""References to the user's own code: found, digested, taken along, and never run."""

import hashlib
import sys
from pathlib import Path

import pytest

from ablations.identity import identity_settings, training_key, trial_key
from ablations.layers import Layer, parse_assignments, resolve, set_layer
from d2v_core.build import check_buildable
from d2v_core.config import TRIAL_TYPES, leaves, parse_trial
from d2v_core.config.base import sections_in
from d2v_core.config.own import Reference, marked, package_digest, reference_in
from d2v_core.errors import ConfigError
from d2v_core.own.kinds import KINDS
from tests.d2v_core.small import SMALL, merged

SOURCE = "def f(features, real):\n    return features * 2\n"
DATA = "0" * 16


def written(folder: Path, source: str = SOURCE, name: str = "mine.py") -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(source)
    return f"{name}:f"


def trial(given: str, folder: Path | None = None):
    layers = [
        Layer(SMALL, lambda path: "small"),
        Layer.from_dotted(
            {"target.layer_norm": given}, lambda path: "a.yaml:1:2", folder
        ),
    ]
    return resolve("vision", layers)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a.py:f", Reference("a.py", "f")),
        ("../my norms/a.py:f", Reference("../my norms/a.py", "f")),
        ("package.module:f", Reference("package.module", "f")),
        (f"a.py:f@{DATA}", Reference("a.py", "f", DATA)),
        ("layer", None),
        ("hf-hub:timm", None),
        ("a.py:f.g", None),
        ("/.py:f", None),
        (3, None),
        (None, None),
    ],
)
def test_what_is_a_reference(given, found) -> None:
    assert reference_in(given) == found
    assert found is None or str(found) == given


def test_every_mark_names_a_kind_and_settings_that_are_there() -> None:
    waiting, sections = [*TRIAL_TYPES.values()], set()
    while waiting:
        section = waiting.pop()
        if section not in sections:
            sections.add(section)
            for field in section.model_fields.values():
                waiting += sections_in(field.annotation)
    marks = [(s, mark) for s in sections for mark in marked(s).values()]
    assert {mark.kind for _, mark in marks} == set(KINDS)
    for section, mark in marks:
        assert not mark.settings or mark.settings in section.model_fields


def test_the_source_travels_and_its_digest_is_the_identity(tmp_path) -> None:
    own = trial(written(tmp_path), tmp_path)
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()[:16]
    assert own.target.layer_norm == f"mine.py:f@{digest}"
    assert own.sources == {digest: SOURCE}
    settings = identity_settings(own)
    assert settings["target"] == {"top_k": 2, "layer_norm": f"mine.py:f@{digest}"}
    assert "sources" not in settings
    assert dict(leaves(own))["target.layer_norm"] == f"mine.py:f@{digest}"


def test_the_key_changes_with_the_source_and_not_with_the_place(tmp_path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    first = trial(written(here), here)
    moved = trial(written(there, name="deep/mine.py"), there)
    for key in (training_key, trial_key):
        assert key(first, DATA) == key(moved, DATA)
    written(here, SOURCE + "# another text")
    assert training_key(trial("mine.py:f", here), DATA) != training_key(first, DATA)


def test_what_names_nothing_of_ones_own_has_no_sources_in_it() -> None:
    plain = trial("layer")
    assert plain.sources == {}
    assert identity_settings(plain)["target"] == {"top_k": 2}


def test_a_worker_needs_the_configuration_alone(tmp_path) -> None:
    own = trial(written(tmp_path), tmp_path)
    (tmp_path / "mine.py").unlink()
    sent = parse_trial(own.model_dump(mode="json"))
    assert sent == own
    assert check_buildable(sent) > 0


def test_reading_a_configuration_runs_nothing(tmp_path) -> None:
    own = trial(written(tmp_path, "raise RuntimeError('run')"), tmp_path)
    training_key(parse_trial(own.model_dump(mode="json")), DATA)
    with pytest.raises(ConfigError, match="importing it gave RuntimeError: run"):
        check_buildable(own)


def test_a_source_that_is_not_the_one_in_the_key_is_not_run(tmp_path) -> None:
    given = written(tmp_path, SOURCE + "# never imported")
    data = trial(given, tmp_path).model_dump(mode="json")
    (digest,) = data["sources"]
    for sources in ({digest: "def f(features, real): ..."}, {}):
        with pytest.raises(ConfigError, match="its source is not in the configuration"):
            check_buildable(parse_trial({**data, "sources": sources}))


def test_a_relative_path_starts_where_it_is_written(tmp_path, monkeypatch) -> None:
    beside, typed = tmp_path / "study", tmp_path / "typed"
    given = written(beside)
    written(typed, SOURCE + "# typed")
    monkeypatch.chdir(typed)
    assert list(trial(given, beside).sources.values()) == [SOURCE]
    assert list(trial(given).sources.values()) == [SOURCE + "# typed"]
    chosen = parse_assignments([f"target.layer_norm={given}"], "vision")
    base = Layer(SMALL, lambda path: "small", beside)
    own = resolve("vision", [base, set_layer(chosen)])
    assert list(own.sources.values()) == [SOURCE + "# typed"]
    own = parse_trial(merged(SMALL, {"target": {"layer_norm": given}}))
    assert list(own.sources.values()) == [SOURCE + "# typed"]


def test_a_module_is_a_file_beside_or_an_installed_package(
    tmp_path, monkeypatch
) -> None:
    written(tmp_path)
    assert trial("mine:f", tmp_path) == trial("mine.py:f", tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in ("__init__", "helpers", "norms"):
        written(tmp_path / "site/my_lab_norms", name=f"{name}.py")
    own = trial("my_lab_norms.norms:f", tmp_path)
    digest = package_digest("my_lab_norms")
    assert own.target.layer_norm == f"my_lab_norms.norms:f@{digest}"
    assert own.sources == {}
    assert "my_lab_norms" not in sys.modules
    assert check_buildable(own) > 0
    written(tmp_path / "site/my_lab_norms", "# of which the norms may make use", "a.py")
    package_digest.cache_clear()
    assert package_digest("my_lab_norms") != digest


def test_another_version_of_a_package_is_not_run() -> None:
    with pytest.raises(ConfigError, match="this package is another version on this"):
        check_buildable(trial(f"math:fabs@{DATA}"))
    with pytest.raises(ConfigError, match="this package is not installed on this"):
        check_buildable(trial(f"no_such_package:f@{DATA}"))


@pytest.mark.parametrize(
    ("given", "content", "message"),
    [
        ("none.py:f", b"", "must name a Python file; {0}/none.py: No such file"),
        ("no_package:f", b"", "({0}/no_package.py is not there) or an installed"),
        ("mine.py:f", b"\xff", "{0}/mine.py: 'utf-8' codec can't decode"),
        ("mine.py:f", b"#" * 1_000_001, "must have at most 1,000,000 bytes"),
    ],
)
def test_what_is_not_there_is_told_with_its_place(
    given, content, message, tmp_path
) -> None:
    if content:
        (tmp_path / "mine.py").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        trial(given, tmp_path)
    (problem,) = caught.value.problems
    assert problem.path == "a.yaml:1:2: target.layer_norm"
    assert message.format(tmp_path) in problem.message
    assert problem.message.endswith(f", got {given!r}")


def test_every_trial_type_takes_sources_along() -> None:
    assert all("sources" in model.model_fields for model in TRIAL_TYPES.values())
