"""The sentences around a table: what the numbers are, and what they say.

Verdicts on claims are not among them, see :mod:`reports.verdicts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

import numpy as np

from ablations.record import Manifest, Status
from reports.inference import MIN_PAIRS
from reports.paper import PaperNumbers, paper_goodness, paper_place, scales_with_depth
from reports.ranks import best_arm, rank_correlation
from reports.statistics import RESAMPLING_SEED, ArmResult, Estimate, StudyResult
from reports.wording import plus_minus, signed

VARIED = "initial weights, data order, masks, augmentation and the labelled subset"


def caption(result: StudyResult, manifest: Manifest, paper: PaperNumbers | None) -> str:
    """What is shown, n, what the interval is, what varied, and what not to compare."""
    metric = result.metric
    direction = "higher" if metric.higher_is_better else "lower"
    place = paper_place(manifest)
    sentences = [
        f"{manifest.study['title']} ({place})" if place else manifest.study["title"],
        f"{manifest.modality.capitalize()}, scale {manifest.scale}: {metric.title}, "
        f"{direction} is better, mean ± half-width of the 95 % Student-t interval of "
        f"the mean; {_sample_size(result)}",
        f"Between seeds everything random varies: {VARIED}",
    ]
    if result.baseline or result.untrained:
        sentences.append(
            "Seeds are paired across arms: a difference is the mean of the differences "
            "seed by seed, ± its own 95 % t interval, not corrected for the number of "
            "arms"
        )
    if result.baseline:
        sentences += _about_tests(result)
    if any(arm.num_collapsed for arm in result.arms):
        sentences.append("Collapsed trials count with the value they reached")
    if paper:
        sentences += _about_paper(manifest, paper)
    return ". ".join(sentences) + "."


def summary(result: StudyResult, manifest: Manifest, paper: PaperNumbers | None) -> str:
    """A few sentences computed from the numbers; they describe and do not judge."""
    sentences = [_progress(result)]
    arms = [arm for arm in result.arms if not arm.is_reference and arm.mean]
    if arms:
        sentences.append(_extreme(result, arms))
    changes = [(arm.label, arm.difference) for arm in arms if arm.difference]
    if changes:
        sentences.append(_differences(str(result.baseline), changes))
    if paper and paper.values:
        axis = manifest.study.get("axis")
        sentences.append(_paper_extreme(paper, axis["label"] if axis else None))
        sentences += _agreement(result, manifest)
    return " ".join(sentences)


def _about_paper(manifest: Manifest, paper: PaperNumbers) -> list[str]:
    setup = f"; setup: {paper.setup}" if paper.setup else ""
    sentences = [
        f"The paper's numbers are {paper.metric}{setup}",
        "They are another metric at another scale, so only order and direction can be "
        "compared, never levels",
    ]
    if scales_with_depth(manifest):
        sentences.append(
            "The paper's arm is the one at the nearest share of the depth; the ends, "
            "one layer and all layers, stand beside each other"
        )
    return sentences


def _about_tests(result: StudyResult) -> list[str]:
    compared = [arm for arm in result.arms if arm.p is not None and arm.difference]
    if result.has_tests:
        plural = "s" if len(compared) > 1 else ""
        return [
            "p (Holm): exact two-sided sign-flip test of the differences, "
            f"Holm-adjusted over the {len(compared)} arm{plural} compared, reference "
            "arms left out"
        ]
    pairs = max((arm.difference.n for arm in compared if arm.difference), default=0)
    if pairs == 0:
        return []
    return [
        f"No p is shown: with {pairs} pair{'s' if pairs > 1 else ''} the smallest "
        f"two-sided sign-flip p is {2 / 2**pairs if pairs > 1 else 1:.3g}, and one "
        f"below 0.05 needs {MIN_PAIRS}"
    ]


def _sample_size(result: StudyResult) -> str:
    counts = sorted({len(arm.values) for arm in result.arms})
    if len(counts) == 1:
        return f"n = {counts[0]} seeds" if counts[0] != 1 else "n = 1 seed"
    return f"n = {counts[0]} to {counts[-1]} seeds, row by row"


def _progress(result: StudyResult) -> str:
    statuses = [seed.status for arm in result.arms for seed in arm.seeds]
    counts = Counter(statuses)
    if counts["finished"] == len(statuses):
        return f"All {len(statuses)} trials finished."
    order = [*get_args(Status), "unfinished", "missing"]
    listed = [
        f"{counts[status]} {status.replace('_', ' ')}"
        for status in order
        if counts[status]
    ]
    return f"Of {len(statuses)} trials: {', '.join(listed)}."


def _extreme(result: StudyResult, arms: Sequence[ArmResult]) -> str:
    sign = 1.0 if result.metric.higher_is_better else -1.0
    word = "highest" if result.metric.higher_is_better else "lowest"
    best = max(arms, key=lambda arm: sign * arm.mean.mean if arm.mean else 0.0)
    assert best.mean is not None
    seeds = "1 seed" if best.mean.n == 1 else f"{best.mean.n} seeds"
    return (
        f"The {word} mean {result.metric.title} is {plus_minus(best.mean)} at "
        f"{best.label} ({seeds})."
    )


def _differences(baseline: str, changes: Sequence[tuple[str, Estimate]]) -> str:
    ordered = sorted(changes, key=lambda change: change[1].mean)
    ends = ordered if len(ordered) == 1 else [ordered[0], ordered[-1]]
    texts = [f"{plus_minus(e, signed=True)} ({label})" for label, e in ends]
    intervals = [(e.low, e.high) for _, e in changes]
    known = [
        (low, high) for low, high in intervals if low is not None and high is not None
    ]
    clear = sum(not low <= 0.0 <= high for low, high in known)
    spread = texts[0] if len(texts) == 1 else f"from {texts[0]} to {texts[1]}"
    verb = "is" if len(texts) == 1 else "run"
    noun = "difference" if len(texts) == 1 else "differences"
    sentence = f"The paired {noun} to {baseline} {verb} {spread}"
    if not known:
        return f"{sentence}; one seed gives no interval."
    return f"{sentence}; zero lies outside {clear} of {len(known)} intervals."


def _paper_extreme(paper: PaperNumbers, axis_label: str | None) -> str:
    pick = max if paper.higher_is_better else min
    word = "highest" if paper.higher_is_better else "lowest"
    key = pick(paper.values, key=lambda name: paper.values[name])
    label = f"{axis_label}={key}" if axis_label else key
    return (
        f"The paper's {word} value is {paper.text(paper.values[key])} at {label} "
        f"({paper.source} from {paper.where})."
    )


def _agreement(result: StudyResult, manifest: Manifest) -> list[str]:
    """How our order of the arms agrees with the paper's, and our best arm."""
    goodness = {
        arm.label: {seed: result.sign * v for seed, v in arm.values.items()}
        for arm in result.arms
        if not arm.is_reference and arm.values
    }
    paper = paper_goodness(manifest)
    generator = np.random.default_rng(RESAMPLING_SEED)
    found = rank_correlation(goodness, paper, generator)
    sentences = []
    if found is not None:
        ends = "one seed gives no interval"
        if found.interval is not None:
            low, high = signed(found.interval.low), signed(found.interval.high)
            ends = f"95 % interval [{low}, {high}] over resampled seeds"
        seeds = "1 common seed" if found.n == 1 else f"{found.n} common seeds"
        sentences.append(
            f"Kendall's tau-b between our order and the paper's is {signed(found.tau)} "
            f"({ends}; {found.num_arms} arms, {seeds})."
        )
    best = best_arm(goodness, paper)
    if best is None:
        return sentences
    if best.ours == best.theirs:
        return [*sentences, f"Both have their best arm at {best.ours}."]
    places = "1 place" if best.distance == 1 else f"{best.distance} places"
    close = {True: "not clear of 0", False: "clear of 0", None: "without an interval"}
    return [
        *sentences,
        f"The paper's best of these arms, {best.theirs}, is {places} below the top "
        f"here; the paired difference to {best.ours} is {close[best.is_close]}.",
    ]
