"""The sentences around a table: what the numbers are, and what they say.

Verdicts on claims are not among them, see :mod:`reports.claims.verdicts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from ablations.record import Manifest, Status
from reports.claims.evidence import Evidence
from reports.claims.looks import looks_sentence
from reports.claims.rank_rules import LEAST_ARMS
from reports.statistics.best_arm import BestArm, best_arm
from reports.statistics.inference import MIN_PAIRS, Values
from reports.statistics.ranks import rank_correlation
from reports.statistics.summary import ArmResult, Estimate, StudyResult
from reports.tables.paper import (
    PaperNumbers,
    paper_goodness,
    paper_place,
    scales_with_depth,
)
from reports.tables.wording import (
    LEAST_FOR_INTERVAL,
    counted,
    plus_minus,
    shown_half_width,
    signed,
)

VARIED = "initial weights, data order, masks, augmentation and the labelled subset"


def short_caption(result: StudyResult, manifest: Manifest) -> str:
    """What is shown, what the numbers are, and what the study itself says of them."""
    metric, place = result.metric, paper_place(manifest)
    title = manifest.study["title"].rstrip(".")
    direction = "higher" if metric.higher_is_better else "lower"
    most = max((len(arm.values) for arm in result.arms), default=0)
    interval = " ± half the 95 % t interval" * (most >= LEAST_FOR_INTERVAL)
    own = manifest.study.get("caption", {})
    of_study = own.get(f"{manifest.modality}-{manifest.scale}", "").strip().rstrip(".")
    return (f"{title}, {place}. " if place else f"{title}. ") + (
        f"{manifest.modality.capitalize()}, scale {manifest.scale}: {metric.title}, "
        f"{direction} is better, mean{interval}, {_sample_size(result)}."
        + (f" {of_study}." if of_study else "")
    )


def methods(result: StudyResult, manifest: Manifest, paper: PaperNumbers | None) -> str:
    """How the numbers were made and what not to compare, the same for all tables.

    Ends with how the order of the arms agrees with the paper's, which no cell shows.
    """
    sentences = [
        "Intervals are 95 % Student-t intervals of the mean over seeds, shown from "
        f"{LEAST_FOR_INTERVAL} seeds on",
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
    if looks := looks_sentence(manifest):
        sentences.append(looks)
    if any(arm.num_collapsed for arm in result.arms):
        sentences.append("Collapsed trials count with the value they reached")
    if paper:
        sentences += _about_paper(manifest, paper)
        sentences += _agreement(result, manifest, paper)
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
        sentences.append(_paper_extreme(paper, manifest))
        sentences += [f"{s}." for s in _agreement(result, manifest, paper)]
    return " ".join(sentences)


def _about_paper(manifest: Manifest, paper: PaperNumbers) -> list[str]:
    setup = f"; setup: {paper.setup}" if paper.setup else ""
    sentences = [
        f"The paper's numbers are {paper.metric}{setup}",
        "Metric, data or scale may differ: compare order and direction, never levels",
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
        arms = counted(len(compared), "arm")
        return [
            "p (Holm): exact two-sided sign-flip test of the differences, "
            f"Holm-adjusted over the {arms} compared, reference arms left out"
        ]
    pairs = max((arm.difference.n for arm in compared if arm.difference), default=0)
    if pairs == 0:
        return []
    return [
        f"No p is shown: with {counted(pairs, 'pair')} the smallest "
        f"two-sided sign-flip p is {2 / 2**pairs if pairs > 1 else 1:.3g}, and one "
        f"below 0.05 needs {MIN_PAIRS}"
    ]


def _sample_size(result: StudyResult) -> str:
    counts = sorted({len(arm.values) for arm in result.arms})
    if len(counts) == 1:
        return f"n = {counted(counts[0], 'seed')}"
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
    return (
        f"The {word} mean {result.metric.title} is {plus_minus(best.mean)} at "
        f"{best.label} ({counted(best.mean.n, 'seed')})."
    )


def _differences(baseline: str, changes: Sequence[tuple[str, Estimate]]) -> str:
    ordered = sorted(changes, key=lambda change: change[1].mean)
    ends = ordered if len(ordered) == 1 else [ordered[0], ordered[-1]]
    texts = [f"{plus_minus(e, signed=True)} ({label})" for label, e in ends]
    intervals = [(e.low, e.high) for _, e in changes if shown_half_width(e)]
    known = [
        (low, high) for low, high in intervals if low is not None and high is not None
    ]
    clear = sum(not low <= 0.0 <= high for low, high in known)
    spread = texts[0] if len(texts) == 1 else f"from {texts[0]} to {texts[1]}"
    verb = "is" if len(texts) == 1 else "run"
    noun = "difference" if len(texts) == 1 else "differences"
    sentence = f"The paired {noun} to {baseline} {verb} {spread}"
    if not known:
        return f"{sentence}; an interval takes {LEAST_FOR_INTERVAL} seeds."
    return f"{sentence}; zero lies outside {clear} of {len(known)} intervals."


def _paper_extreme(paper: PaperNumbers, manifest: Manifest) -> str:
    word = "highest" if paper.higher_is_better else "lowest"
    label, value = _paper_best(paper, manifest)
    its = "its " if scales_with_depth(manifest) else ""
    return (
        f"The paper's {word} value is {paper.text(value)} at {its}{label}, "
        f"{paper.source} from {paper.where}."
    )


def _paper_best(paper: PaperNumbers, manifest: Manifest) -> tuple[str, float]:
    """The paper's own arm, named as in ``ManifestArm.paper``, and its value."""
    pick = max if paper.higher_is_better else min
    key = pick(paper.values, key=lambda name: paper.values[name])
    axis = manifest.study.get("axis")
    return (f"{axis['label']}={key}" if axis else key), paper.values[key]


def _agreement(
    result: StudyResult, manifest: Manifest, paper: PaperNumbers
) -> list[str]:
    """Compare our order of the arms with the paper's, and the best arms.

    As for :func:`reports.claims.rank_rules.like_paper`, arms that collapsed, diverged
    or have no result are no evidence, so they are left out; an order takes three
    arms; numbers of the paper up to twice the reading error apart are tied. Where
    points of the paper stand beside none of the arms compared, the sentences are about
    "the matched arms".
    """
    evidence = Evidence(result, manifest)
    theirs = paper_goodness(manifest)
    trouble = {arm: evidence.trouble(arm) for arm in evidence.own_arms if arm in theirs}
    ours = evidence.goodness([arm for arm, why in trouble.items() if not why])
    best = best_arm(ours, theirs, evidence.paper_tolerance)
    if best is None:
        return []
    matched = {a.paper["at"] for a in manifest.arms if a.label in ours and a.paper}
    some = len(matched) < len(paper.values)
    label, _ = _paper_best(paper, manifest)
    sentences = [
        *_order_sentence(
            ours, theirs, evidence, " of the matched arms" if some else ""
        ),
        _best_sentence(best, some=some, missing="" if label in matched else label),
    ]
    left_out = "; ".join(why for why in trouble.values() if why)
    return [*sentences, f"Left out of this: {left_out}"] if left_out else sentences


def _order_sentence(
    ours: Mapping[str, Values], theirs: Mapping[str, float], evidence: Evidence, of: str
) -> list[str]:
    tolerance = evidence.paper_tolerance
    correlation = rank_correlation(ours, theirs, evidence.generator(), tolerance)
    if correlation is None or correlation.num_arms < LEAST_ARMS:
        return []
    ends = "one seed gives no interval"
    if correlation.interval is not None:
        low, high = signed(correlation.interval.low), signed(correlation.interval.high)
        ends = f"95 % interval [{low}, {high}] over resampled seeds"
    tied = f"; the paper's values up to {2 * tolerance:g} apart are tied"
    tau = signed(correlation.tau)
    return [
        f"Kendall's tau-b between our order and the paper's{of} is {tau} "
        f"({ends}; {correlation.num_arms} arms, {counted(correlation.n, 'common seed')}"
        f"{tied * (tolerance > 0.0)})"
    ]


def _best_sentence(best: BestArm, *, some: bool, missing: str) -> str:
    """Whether the best arms agree, and which arm of the paper's is ``missing`` here."""
    which = "the matched arms" if some else "these arms"
    end = (
        f"; the paper's best of all, its {missing}, is not among them"
        if missing
        else ""
    )
    if best.ours == best.theirs:
        return f"Of {which} both have their best at {best.ours}{end}"
    close = {True: "not clear of 0", False: "clear of 0", None: "without an interval"}
    return (
        f"The paper's best of {which}, {best.theirs}, is "
        f"{counted(best.distance, 'place')} below the top here; the paired difference "
        f"to {best.ours} is {close[best.is_close]}{end}"
    )
