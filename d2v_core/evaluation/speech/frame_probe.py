"""Linear probes of frames: which phone, and which word, is being said.

Frames of a few labelled utterances are many samples, and a linear map of them hangs
little on which utterances were drawn, so these scores are far steadier than the word
error rate. Silence is a phone. As a word it is left out: it would only add the same
easy frames to every score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from d2v_core.config.choices import FrameLabel
from d2v_core.config.speech_data import SpeechEvaluation
from d2v_core.data.speech.alignment import NO_WORD, Alignment, frame_labels
from d2v_core.evaluation.linear import stack_draws
from d2v_core.evaluation.logistic import fit_logistic
from d2v_core.evaluation.outcome import Evaluation, over_draws
from d2v_core.evaluation.speech.chosen import edge_note, middle
from d2v_core.frames import Window
from d2v_core.randomness import numpy_generator

METRICS: dict[FrameLabel, tuple[str, str]] = {
    "phone": ("eval/phone_accuracy", "eval/phone_validation_accuracy"),
    "word": ("eval/word_frame_accuracy", "eval/word_frame_validation_accuracy"),
}
"""Names of the scores on the test and on the validation split."""


@dataclass(frozen=True)
class AlignedFrames:
    """Frames of the utterances of a split, and when each phone is said in them.

    Attributes:
        frames: Frames of each utterance.
        alignment: Alignment of the same utterances.
        windows: Windows of the front end that made the frames.
    """

    frames: Sequence[Float[Tensor, "_ dim"]]
    alignment: Alignment
    windows: Sequence[Window]

    def labelled(
        self, kind: FrameLabel, indices: Sequence[int] | np.ndarray | None = None
    ) -> tuple[Float[Tensor, "samples dim"], Int[Tensor, " samples"]]:
        """Join the frames that have a label, and their labels.

        Args:
            kind: Phones or words.
            indices: Indices of the utterances; None: all.
        """
        chosen = range(len(self.frames)) if indices is None else indices
        rows = torch.cat([self.frames[i] for i in chosen])
        labels = np.concatenate(
            [
                frame_labels(
                    self.alignment.spans[i], kind, len(self.frames[i]), self.windows
                )
                for i in chosen
            ]
        )
        said = torch.from_numpy(labels).to(rows.device)
        return rows[said != NO_WORD], said[said != NO_WORD]


def probe_frames(
    train: AlignedFrames,
    valid: AlignedFrames,
    test: AlignedFrames,
    draws: Sequence[np.ndarray],
    config: SpeechEvaluation,
    *,
    seed: int,
) -> Evaluation:
    """Fit on every draw, select L2 on ``valid``, report ``test``, phones and words.

    Args:
        train: Labelled utterances.
        valid: Those that select.
        test: Those that are reported.
        draws: Utterances of ``train`` in each draw.
        config: L2 grid, and the most frames of a draw.
        seed: Seed of the frames that are kept where a draw has more.
    """
    result = Evaluation({}, {})
    for kind in METRICS:
        parts = [
            _at_most(config.max_frames, *train.labelled(kind, draw), seed, r)
            for r, draw in enumerate(draws)
        ]
        probed = _probe(kind, parts, valid.labelled(kind), test, config.l2_grid)
        result = result.joined(probed)
    return result


def _at_most(
    limit: int, rows: Tensor, labels: Tensor, seed: int, draw: int
) -> tuple[Tensor, Tensor]:
    if len(rows) <= limit:
        return rows, labels
    generator = numpy_generator(seed, "labelled frames", draw)
    chosen = torch.from_numpy(generator.choice(len(rows), limit, replace=False))
    return rows[chosen.to(rows.device)], labels[chosen.to(rows.device)]


def _probe(
    kind: FrameLabel,
    parts: Sequence[tuple[Tensor, Tensor]],
    valid: tuple[Tensor, Tensor],
    test: AlignedFrames,
    l2_grid: Sequence[float],
) -> Evaluation:
    grid = sorted(l2_grid, reverse=True)  # the larger one on a tie
    fits = fit_logistic(
        stack_draws([rows for rows, _ in parts], [labels for _, labels in parts]),
        grid,
        num_classes=len(test.alignment.names(kind)),
    )
    rows, labels = valid
    selecting = _accuracy(fits.classes(rows), labels)
    best = selecting.argmax(dim=1)
    rows, labels = test.labelled(kind)
    chosen = fits.chosen(best)
    reached = _accuracy(chosen.classes(rows), labels)[:, 0]
    strengths = [grid[i] for i in best.tolist()]
    on_test, on_valid = METRICS[kind]
    notes = [edge_note(f"the L2 of the {kind} probe", strengths, grid)]
    if lost := int((~chosen.converged).sum()):
        notes.append(f"{lost} of {len(parts)} {kind} probes did not converge")
    return over_draws({on_test: reached.tolist()}).joined(
        Evaluation(
            metrics={on_valid: float(selecting.amax(dim=1).mean())},
            choices={f"evaluation.{kind}_l2": middle(strengths)},
            notes=tuple(note for note in notes if note),
        )
    )


def _accuracy(
    classes: Int[Tensor, "draws strengths samples"], labels: Int[Tensor, " samples"]
) -> Float[Tensor, "draws strengths"]:
    """Share of frames classified correctly, in per cent."""
    return 100.0 * (classes == labels).double().mean(dim=2)
