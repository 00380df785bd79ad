"""What has to be trained: studies to unique trials, minus what the store has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ablations.identity import SCHEMA_VERSION, both_keys
from ablations.record import Manifest, ManifestArm, ManifestCell
from ablations.study.arms import Arm, ExpandedStudy, Request, expand_named
from ablations.study.buildable import check_arms_buildable
from ablations.study.paper_diff import differences_from_paper
from ablations.study.published import PaperValue, match_published
from d2v_core.config import TrialConfig
from d2v_core.errors import DataError
from d2v_core.modalities import modality_of
from sweeps.planned import PlannedCell, StudyPlan

ABSENT_DATA = ""
"""Digest of data that is not there: no data has it, so no stored trial has the key."""


def plan_study(name: str, request: Request, *, require_data: bool = True) -> StudyPlan:
    """Expand and key a study by its name; see :func:`plan_expanded`."""
    expanded = expand_named(name, request)
    return plan_expanded(expanded, require_data=require_data)


def plan_expanded(expanded: ExpandedStudy, *, require_data: bool = True) -> StudyPlan:
    """Key the cells of a study; reads the data's digest, trains and writes nothing.

    Args:
        expanded: The study's arms and cells.
        require_data: Whether data that is not there is an error; else the plan says so.

    Raises:
        ConfigError: Every encoder that cannot be built, with its place in the study.
        DataError: The data is not there, and is required.
    """
    # First: of two mistakes, a wrong study is told before missing data.
    num_parameters = check_arms_buildable(expanded)
    digests: dict[str, tuple[str, str]] = {}
    problems: dict[str, None] = {}
    cells = []
    for cell in expanded.cells:
        trial, modality = cell.trial, modality_of(cell.trial)
        data = modality.same_data(trial)
        if data not in digests:
            try:
                digests[data] = (
                    modality.training_digest(trial),
                    modality.data_digest(trial),
                )
            except DataError as error:
                if require_data:
                    raise
                digests[data] = ABSENT_DATA, ABSENT_DATA
                problems[str(error)] = None
        cells.append(keyed(cell.arm, trial, *digests[data]))
    return StudyPlan(
        expanded=expanded,
        cells=tuple(cells),
        data_digest=next(iter(digests.values()))[1],
        num_parameters=num_parameters,
        data_problem="\n".join(problems),
    )


def keyed(arm: Arm, trial: TrialConfig, trained_on: str, digest: str) -> PlannedCell:
    """A cell with its keys.

    Args:
        arm: Its row.
        trial: Its configuration.
        trained_on: Digest of what training reads.
        digest: Digest of all its data.
    """
    return PlannedCell(arm, trial.seed, trial, *both_keys(trial, digest, trained_on))


def unique_trials(plans: Iterable[StudyPlan]) -> dict[str, PlannedCell]:
    """Every trial once by key, seeds before studies and arms."""
    cells = [cell for plan in plans for cell in plan.cells]
    unique: dict[str, PlannedCell] = {}
    for cell in sorted(cells, key=lambda cell: cell.seed):
        unique.setdefault(cell.key, cell)
    return unique


def removed_cells(plan: StudyPlan, previous: Manifest | None) -> list[ManifestCell]:
    """Cells that earlier runs of the same request had and this plan has not."""
    if previous is None:
        return []
    planned = {cell.key for cell in plan.cells}
    former = {cell.key: cell for cell in [*previous.removed, *previous.cells]}
    return [cell for key, cell in former.items() if key not in planned]


def make_manifest(
    plan: StudyPlan, command: str, previous: Manifest | None = None
) -> Manifest:
    """What the report needs to know about a study.

    Args:
        plan: The study.
        command: That runs it.
        previous: What the last run of the same request left.
    """
    expanded = plan.expanded
    study, request = expanded.study, expanded.request
    paper = match_published(study, request.modality, expanded.arms, expanded.depth)
    return Manifest(
        study=study.model_dump(mode="json"),
        modality=request.modality,
        scale=request.scale,
        assignments=list(request.assignments),
        recipe=request.recipe,
        metric=plan.metric.name,
        depth=expanded.depth,
        base=expanded.base.model_dump(mode="json"),
        paper_diff=differences_from_paper(expanded.base, request.modality),
        arms=[_manifest_arm(arm, paper) for arm in expanded.arms],
        cells=[
            ManifestCell(
                arm=cell.arm.label,
                seed=cell.seed,
                key=cell.key,
                training=cell.training,
                schema_version=SCHEMA_VERSION,
            )
            for cell in plan.cells
        ],
        removed=removed_cells(plan, previous),
        looks=plan.looks,
        data_digest=plan.data_digest,
        num_parameters=plan.num_parameters,
        command=command,
    )


def _manifest_arm(arm: Arm, paper: Mapping[str, PaperValue]) -> ManifestArm:
    value = paper.get(arm.label)
    return ManifestArm(
        label=arm.label,
        settings=dict(arm.settings),
        is_reference=arm.is_reference,
        value=arm.value,
        paper=vars(value) if value else None,
    )


def seed_warning(seeds: Sequence[int]) -> str | None:
    """What the number of seeds can and cannot show."""
    if len(seeds) >= 6:
        return None
    smallest = 2.0 / 2 ** len(seeds)
    return (
        f"{len(seeds)} paired seed{'s' * (len(seeds) > 1)}: the smallest two-sided "
        f"sign-flip p is {smallest:.3g}; below 0.05 needs 6"
    )
