"""One study from two sources: which verdicts and which numbers agree.

Both are judged over the seeds that both have, since a verdict over fewer seeds is
another one; scores are compared trial by trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablations.metrics import manifest_metric
from ablations.record import DONE, Manifest
from reports.claims.verdicts import Verdict, study_verdicts
from reports.statistics.summary import study_result
from reports.store.frames import trial_frames
from reports.store.manifests import find_manifest
from reports.store.reader import Source
from reports.tables.ledger import build_ledger
from reports.tables.wording import counted

Scores = dict[tuple[str, int], tuple[str, float]]
"""Key and score by arm and seed."""
MACHINE = ("processor", "cpus", "device", "platform", "python", "torch")
"""Fields of an environment that decide about the last digits of a number."""


@dataclass(frozen=True)
class Side:
    """One of the two sources.

    Attributes:
        seeds: Planned there.
        verdicts: By claim, over the common seeds.
        whole: By claim, over all seeds there.
        scores: Scores of trials with a result.
        machine: Where most trials of the records read were trained; empty if unknown.
    """

    seeds: tuple[int, ...]
    verdicts: Mapping[str, Verdict]
    whole: Mapping[str, Verdict]
    scores: Scores
    machine: str


@dataclass(frozen=True)
class Comparison:
    """What two sources say about one study.

    Attributes:
        manifest: The plan here.
        metric: Title of the score.
        recorded: What was recorded.
        here: What is compared with it.
        seeds: That both have; never empty.
    """

    manifest: Manifest
    metric: str
    recorded: Side
    here: Side
    seeds: tuple[int, ...]

    @property
    def claims(self) -> list[tuple[Verdict | None, Verdict | None]]:
        """Every claim: recorded and here; None where one side does not make it."""
        theirs, ours = self.recorded.verdicts, self.here.verdicts
        return [(theirs.get(name), ours.get(name)) for name in {**theirs, **ours}]

    @property
    def agrees(self) -> bool:
        """Whether all verdicts are the same."""
        return all(_same(theirs, ours) for theirs, ours in self.claims)

    @property
    def both(self) -> list[tuple[str, int]]:
        """Arms and seeds with a score on both sides."""
        return [cell for cell in self.recorded.scores if cell in self.here.scores]

    def lines(self) -> list[str]:
        """Everything in words, for the terminal; foreign text as it is."""
        study = self.manifest
        name = f"{study.study['name']} ({study.modality}, {study.scale})"
        return [
            f"{name}: here against what was recorded",
            f"  recorded on {self.recorded.machine or 'a machine that is not known'}",
            f"  here on     {self.here.machine or 'a machine that is not known'}",
            f"  seeds: {_listed(self.recorded.seeds)} recorded, "
            f"{_listed(self.here.seeds)} here; compared over {_listed(self.seeds)}",
            *self._claim_lines(),
            *self._score_lines(),
        ]

    def _claim_lines(self) -> list[str]:
        agreeing = 0
        lines = []
        for theirs, ours in self.claims:
            known = ours or theirs
            assert known is not None
            same = _same(theirs, ours)
            agreeing += same
            word = "agrees" if same else "DIFFERS"
            text = (
                f"  {word}: {known.claim}: {_said(theirs)} recorded, {_said(ours)} here"
            )
            whole = self.recorded.whole.get(known.claim)
            if self.seeds != self.recorded.seeds and whole is not None:
                text += f"; over all recorded seeds {_said(whole)}"
            lines.append(f"{text}. {known.says}")
        head = f"verdicts: {agreeing} of {counted(len(lines), 'claim')} agree"
        return [head, *lines]

    def _score_lines(self) -> list[str]:
        differences: dict[str, list[float]] = {}
        other_keys = 0
        for cell in self.both:
            (key, score), (our_key, ours) = (
                self.recorded.scores[cell],
                self.here.scores[cell],
            )
            differences.setdefault(cell[0], []).append(ours - score)
            other_keys += key != our_key
        flat = [one for of in differences.values() for one in of]
        equal = sum(one == 0.0 for one in flat)
        lines = [
            f"scores: {equal} of {counted(len(flat), 'trial')} equal to the last digit "
            f"({self.metric})"
        ]
        for arm, of in differences.items():
            if any(of):
                most, mean = max(of, key=abs), sum(of) / len(of)
                n = counted(sum(one != 0.0 for one in of), "trial")
                lines.append(
                    f"  {arm}: {n} of {len(of)} differ, by at most {most:+.4g}, "
                    f"in the mean {mean:+.4g}"
                )
        if other_keys:
            lines.append(
                f"  {counted(other_keys, 'trial')} have other settings than recorded "
                "(other keys): a recipe, the data or the code has changed since"
            )
        missing = [
            cell
            for cell in self.recorded.scores
            if cell[1] in self.seeds and cell not in self.here.scores
        ]
        if missing:
            named = ", ".join(f"{arm} seed {seed}" for arm, seed in missing[:5])
            more = ", …" * (len(missing) > 5)
            lines.append(f"  {len(missing)} recorded but not here: {named}{more}")
        return lines


def compare_study(
    here: Source,
    recorded: Source,
    study: str,
    modality: str,
    scale: str,
    request_id: str | None = None,
) -> Comparison | None:
    """Compare a study here with what was recorded of it.

    Args:
        here: One source.
        recorded: The other.
        study: Name of the study.
        modality: The run's.
        scale: The run's.
        request_id: The run's, where several differ in ``--set``; default: the last.

    Returns:
        None where they have no seed in common.

    Raises:
        ConfigError: A source does not have it; says what it has.
    """
    sides = [
        (source, find_manifest(source, study, modality, scale, request_id).manifest)
        for source in (recorded, here)
    ]
    planned = [{cell.seed for cell in manifest.cells} for _, manifest in sides]
    seeds = tuple(sorted(planned[0] & planned[1]))
    if not seeds:
        return None
    theirs, ours = (_side(source, manifest, seeds) for source, manifest in sides)
    manifest = sides[1][1]
    title = manifest_metric(manifest).title
    return Comparison(manifest, title, theirs, ours, seeds)


def _side(source: Source, manifest: Manifest, seeds: tuple[int, ...]) -> Side:
    frame, removed = trial_frames(source, manifest)
    counts = manifest_metric(manifest).logged_as
    cells = [cell for cell in manifest.cells if cell.seed in seeds]
    common = manifest.model_copy(update={"cells": cells})
    inside = frame[frame["seed"].isin(seeds)].reset_index(drop=True)
    ledger = build_ledger(source, frame, removed, manifest)
    return Side(
        seeds=tuple(sorted({cell.seed for cell in manifest.cells})),
        verdicts=_judged(inside, common),
        whole=_judged(frame, manifest),
        scores={
            (str(row["arm"]), int(row["seed"])): (str(row["key"]), float(row[counts]))
            for row in inside.to_dict("records")
            if row["status"] in DONE and not pd.isna(row.get(counts))
        },
        machine=_machine(ledger["environments"]),
    )


def _judged(frame: pd.DataFrame, manifest: Manifest) -> dict[str, Verdict]:
    verdicts = study_verdicts(study_result(frame, manifest), manifest)
    return {verdict.claim: verdict for verdict in verdicts}


def _same(theirs: Verdict | None, ours: Verdict | None) -> bool:
    return theirs is not None and ours is not None and theirs.verdict == ours.verdict


def _machine(environments: list[dict[str, Any]]) -> str:
    if not environments:
        return ""
    most = max(environments, key=lambda one: int(one["trials"]))
    text = ", ".join(f"{name} {most[name]}" for name in MACHINE if name in most)
    others = len(environments) - 1
    return f"{text}; and {counted(others, 'other environment')}" if others else text


def _said(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not claimed"
    if verdict.effect is None:
        return verdict.verdict
    shown = f"{verdict.effect:.2f}" if verdict.is_share else f"{verdict.effect:+.2f}"
    return f"{verdict.verdict} ({shown})"


def _listed(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
