"""The rules of a study that span fields: what is named exists, where it is named.

Every function gives the broken rules with their dotted path in the study file.
"""

from __future__ import annotations

from collections.abc import Iterator

from ablations.layers import check_setting
from ablations.metrics import METRICS
from ablations.study.arm_names import ArmNames
from ablations.study.axis import FractionsOfDepth
from ablations.study.claim_checks import check_claims
from ablations.study.fields import NamedArm, Published, Settings, StudyFields
from d2v_core.config import TRIAL_TYPES
from d2v_core.config.parsing import one_of
from d2v_core.errors import Problem, shown

MAX_SEEDS = 10_000
"""Most seeds of one study."""
RESERVED_LABELS = ("arm", "seed")
"""What every trial has in MLflow beside its axis values."""

GIVEN = {"seed": "seeds", "modality": "metric"}
"""Settings that other parts of a study say."""


def check_study(study: StudyFields) -> list[Problem]:
    """Every broken rule; names of arms are looked at once arms have names."""
    nameless = [*_check_layout(study), *_check_axes(study)]
    problems = [
        *nameless,
        *_check_seeds(study.seeds),
        *_check_metrics(study),
        *_check_modalities(study),
        *_check_settings(study),
        *_check_likes(study),
    ]
    if nameless:
        return problems
    names = {modality: ArmNames(study, modality) for modality in study.metric}
    return [
        *problems,
        *_check_baseline(study, names),
        *_check_published(study, names),
        *check_claims(study, names),
    ]


def _check_layout(study: StudyFields) -> list[Problem]:
    given = [name for name in ("axis", "axes", "arms") if getattr(study, name)]
    if len(given) != 1:
        requirement = "a study needs exactly one of axis, axes and arms, got"
        place = given[1] if given else ""
        return [Problem(place, f"{requirement} {' and '.join(given) or 'none'}")]
    names = [arm.name for arm in study.arms]
    references = {name for m in study.metric for name in study.references(m)}
    problems = [
        Problem(f"arms.{i}.name", f"must be unique, {name!r} stands twice")
        for i, name in enumerate(names)
        if name in names[:i] or name in references
    ]
    if study.arms and not problems:
        problems += [
            Problem(f"metric.{modality}", "no arm exists for this modality")
            for modality in study.metric
            if not any(arm.exists_for(modality) for arm in study.arms)
        ]
    return problems


def _check_axes(study: StudyFields) -> list[Problem]:
    if len(study.axes) == 1:
        return [Problem("axes", "must be at least two; a single one is called axis")]
    problems = []
    axes = study.all_axes
    for i, axis in enumerate(axes):
        place = "axis" if study.axis else f"axes.{i}"
        if axis.label in RESERVED_LABELS or axis.label in [a.label for a in axes[:i]]:
            requirement = f"must be another word than {', '.join(RESERVED_LABELS)}"
            other = " and than the other axes have" if study.axes else ""
            problems.append(
                Problem(f"{place}.label", f"{requirement}{other}, got {axis.label!r}")
            )
        if any(_overlap(axis.setting, other.setting) for other in axes[:i]):
            requirement = "must not be part of another axis' setting"
            problems.append(
                Problem(f"{place}.setting", f"{requirement}, got {axis.setting}")
            )
        names = [] if isinstance(axis.values, FractionsOfDepth) else axis.names()
        if len(set(names)) < len(names):
            requirement = "must be different values, got"
            problems.append(
                Problem(f"{place}.values", f"{requirement} {', '.join(names)}")
            )
    return problems


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _check_seeds(seeds: int | tuple[int, ...]) -> list[Problem]:
    valid = seeds >= 1 if isinstance(seeds, int) else bool(seeds)
    if not valid:
        given = seeds if isinstance(seeds, int) else list(seeds)
        return [
            Problem(
                "seeds", f"must be at least one seed, a count or a list, got {given}"
            )
        ]
    count = seeds if isinstance(seeds, int) else len(seeds)
    if count > MAX_SEEDS:
        return [Problem("seeds", f"must be at most {MAX_SEEDS:,} seeds, got {count:,}")]
    if isinstance(seeds, tuple) and (len(set(seeds)) < len(seeds) or min(seeds) < 0):
        return [
            Problem(
                "seeds", f"must be different and not negative, got {shown(list(seeds))}"
            )
        ]
    return []


def _check_metrics(study: StudyFields) -> list[Problem]:
    problems = []
    for modality, metric in study.metric.items():
        if modality not in METRICS:
            problems.append(Problem(f"metric.{modality}", one_of(METRICS, modality)))
        elif isinstance(metric, str) and metric not in METRICS[modality]:
            problems.append(
                Problem(f"metric.{modality}", one_of(METRICS[modality], metric))
            )
    return problems


def _check_modalities(study: StudyFields) -> list[Problem]:
    """Modalities are named only where the study (or the arm) has them."""
    where = study.paper.where if study.paper else {}
    lacks = [m for m in study.metric if isinstance(where, dict) and m not in where]
    problems = []
    if study.paper and lacks:
        requirement = "must be one text, or one for every modality; lacks"
        problems.append(Problem("paper.where", f"{requirement} {', '.join(lacks)}"))
    return problems + [
        Problem(path, one_of(known, modality))
        for path, modality, known in _modalities_named(study)
        if modality not in known
    ]


def _modalities_named(study: StudyFields) -> Iterator[tuple[str, str, list[str]]]:
    """Where, which, and which could stand there."""
    known = list(study.metric)
    for i, arm in enumerate(study.arms):
        for j, modality in enumerate(arm.only):
            yield f"arms.{i}.only.{j}", modality, known
        has = [modality for modality in known if arm.exists_for(modality)]
        for path, modality, _ in _particular(arm):
            yield f"arms.{i}.{path}", modality, has or known
    for i, claim in enumerate(study.claims):
        for j, modality in enumerate(claim.modalities):
            yield f"claims.{i}.modalities.{j}", modality, known
    for path, modality, _ in _particular(study):
        yield path, modality, known
    for recipe in study.caption:
        yield f"caption.{recipe}", _modality_of(recipe), known
    yield from _modalities_as_keys(study, known)


def _modalities_as_keys(
    study: StudyFields, known: list[str]
) -> Iterator[tuple[str, str, list[str]]]:
    where = study.paper.where if study.paper else ""
    for path, mapping in (
        ("published", study.published),
        ("reference_arms", study.reference_arms),
        ("baseline", study.baseline),
        ("paper.where", where),
    ):
        if isinstance(mapping, dict):
            for modality in mapping:
                yield f"{path}.{modality}", modality, known


def _particular(
    place: NamedArm | StudyFields,
) -> Iterator[tuple[str, str, Settings]]:
    """Settings of one modality or recipe: where, the modality, and which."""
    for modality, settings in place.set_for.items():
        yield f"set_for.{modality}", modality, settings
    for recipe, settings in place.set_at.items():
        yield f"set_at.{recipe}", _modality_of(recipe), settings


def _modality_of(recipe: str) -> str:
    """``vision`` of ``vision-smoke``; what is none is refused as it stands."""
    modality, dash, _ = recipe.partition("-")
    return modality if dash else recipe + "-"


def _check_settings(study: StudyFields) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for path, setting, modalities in _settings_named(study):
        if path in problems:
            continue
        if setting in GIVEN:
            requirement = f"must not be set, {GIVEN[setting]} of the study says it"
            problems[path] = Problem(path, requirement)
        known = [m for m in modalities if m in TRIAL_TYPES]
        refused = {m: check_setting(m, setting) for m in known}
        for modality, problem in refused.items():
            if problem is None:
                continue
            message = problem.message
            if not all(refused.values()):
                message += f" (for {modality}; use only or set_for)"
            problems.setdefault(path, Problem(path, message))
    return list(problems.values())


def _check_likes(study: StudyFields) -> list[Problem]:
    """A name that was not replaced by its arm: the study was read from no file."""
    places = {"like": study.like}
    places |= {f"arms.{i}.like": arm.like for i, arm in enumerate(study.arms)}
    requirement = "must be an arm itself where no file is read"
    return [
        Problem(path, f"{requirement}, got {like!r}")
        for path, like in places.items()
        if like and isinstance(like, str)
    ]


def _settings_named(study: StudyFields) -> Iterator[tuple[str, str, list[str]]]:
    """Where a setting is named, which, and the modalities that must have it."""
    modalities = list(study.metric)
    for i, axis in enumerate(study.all_axes):
        place = "axis" if study.axis else f"axes.{i}"
        yield f"{place}.setting", axis.setting, modalities
    for setting in study.set:
        yield f"set.{setting}", setting, modalities
    for path, modality, settings in _particular(study):
        for setting in settings:
            yield f"{path}.{setting}", setting, [modality]
    for i, arm in enumerate(study.arms):
        has = [modality for modality in modalities if arm.exists_for(modality)]
        for setting in arm.set:
            yield f"arms.{i}.set.{setting}", setting, has
        for path, modality, settings in _particular(arm):
            for setting in settings:
                yield f"arms.{i}.{path}.{setting}", setting, [modality]


def _check_baseline(study: StudyFields, names: dict[str, ArmNames]) -> list[Problem]:
    if isinstance(study.baseline, dict):
        given = {
            f"baseline.{modality}": (name, [names[modality]])
            for modality, name in study.baseline.items()
            if modality in names
        }
    elif study.baseline is not None:
        given = {"baseline": (study.baseline, list(names.values()))}
    else:
        given = {}
    problems = (
        next(filter(None, (arms.problem(path, name) for arms in candidates)), None)
        for path, (name, candidates) in given.items()
    )
    return [problem for problem in problems if problem]


def _check_published(study: StudyFields, names: dict[str, ArmNames]) -> list[Problem]:
    problems: list[Problem] = []
    for modality, published in study.published.items():
        if modality in names:
            problems += _check_values(study, modality, published, names[modality])
    return problems


def _check_values(
    study: StudyFields, modality: str, published: Published, names: ArmNames
) -> list[Problem]:
    place = f"published.{modality}.values"
    if study.axis is None:
        problems = [
            names.problem(f"{place}.{key}", str(key)) for key in published.values
        ]
        return [problem for problem in problems if problem]
    known = [*study.axis.keys(), *study.references(modality)]
    if not study.axis.scales_with_depth:
        return [
            Problem(f"{place}.{key}", one_of(map(str, known), key))
            for key in published.values
            if key not in known
        ]
    requirement = "must be a number of layers of the paper's encoder, at least 1, got"
    return [
        Problem(f"{place}.{key}", f"{requirement} {key!r}")
        for key in published.values
        if not (isinstance(key, int) and key >= 1) and key not in known
    ]
