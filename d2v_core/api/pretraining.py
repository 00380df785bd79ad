"""``pretrain``: from samples in memory to an encoder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from d2v_core.api.images import GivenImages
from d2v_core.api.samples import (
    Given,
    Labels,
    Samples,
    class_indices,
    modality_in,
    unpacked,
)
from d2v_core.api.texts import GivenTexts, as_texts
from d2v_core.api.waves import GivenWaves
from d2v_core.build import check_buildable
from d2v_core.config import TrialConfig, parse_trial
from d2v_core.config.memory import MemoryData
from d2v_core.config.parsing import one_of
from d2v_core.config.registry import TRIAL_TYPES
from d2v_core.data.speech.any_waves import as_waves
from d2v_core.data.vision.any_images import as_images
from d2v_core.errors import refused
from d2v_core.frames import SAMPLE_RATE_HZ
from d2v_core.loading import LoadedEncoder
from d2v_core.sizing import SizedFor
from d2v_core.trained import TrainedEncoder, write_trained
from d2v_core.training.events import CheckpointDue, Progress, Started, Trained
from d2v_core.trial import run_trial


@dataclass(frozen=True)
class Pretrained(LoadedEncoder):
    """A trained encoder, ready to be used, and how its training went.

    Attributes:
        trained: Everything the training left; :meth:`save` writes it.
        history: Metrics of the training, in order: ``step``, ``train/loss``,
            ``target/std`` ...
    """

    trained: TrainedEncoder = field(repr=False)
    history: Sequence[Mapping[str, int | float]] = field(repr=False)

    @property
    def collapse(self) -> str | None:
        """What collapsed, in words; None: nothing did."""
        reason = self.trained.collapse
        return None if reason is None else str(reason)

    def save(self, folder: Path | str) -> Path:
        """Write encoder, configuration and preprocessing, whole or not at all.

        :func:`d2v_core.load_encoder` opens the folder, ``d2v export`` exports it, and a
        study's arm begins with it where ``init_from`` names it (with ``objective.kind:
        untrained`` it is evaluated as it is).

        Args:
            folder: Made if needed; an encoder that is there is replaced.
        """
        place = Path(folder)
        write_trained(place, self.trained)
        return place


def pretrain(
    samples: Samples,
    *,
    labels: Labels | None = None,
    modality: str | None = None,
    settings: Mapping[str, Any] | None = None,
    sized_for: SizedFor = "laptop",
    sample_rate: int = SAMPLE_RATE_HZ,
    seed: int = 0,
    progress: bool = True,
    checkpoint: Path | str | None = None,
) -> Pretrained:
    """Train an encoder on samples in memory; by default with data2vec's objective.

    Args:
        samples: Images (an array or tensor of shape (images, channels, height, width),
            or a list, of any sizes), waveforms (a list of arrays of one dimension),
            strings, or a torch data set of any of these, alone or with labels.
        labels: Label of each sample, for ``objective.kind: supervised``; else ignored.
        modality: ``vision``, ``speech`` or ``text``; None: what the samples look like.
        settings: Changes to what :mod:`d2v_core.sizing` chooses for the data, nested as
            in a recipe's YAML or dotted, ``{"target.top_k": 1}``.
        sized_for: ``laptop``: minutes on a core or two; ``gpu``: hours on one GPU.
        sample_rate: Sample rate of waveforms, in Hz.
        seed: Seed of initial weights, order, masks and augmentation.
        progress: Show a progress bar.
        checkpoint: File to save to now and then, and to go on from if it exists.

    Returns:
        The student, with :meth:`~d2v_core.loading.LoadedEncoder.features`.

    Raises:
        ConfigError: Samples or settings are not what they must be; nothing has started.
        DivergedError: The loss stopped being finite.
    """
    given = _given(samples, labels, modality, sized_for, sample_rate)
    trial = _trial(given, settings or {}, seed)
    check_buildable(trial)
    dataset = given.dataset(trial)
    file = None if checkpoint is None else Path(checkpoint)
    history: list[dict[str, int | float]] = []
    about: dict[str, Any] = {}
    trained: TrainedEncoder | None = None
    with _threads(), _bar(progress) as bar:
        for event in run_trial(
            trial, checkpoint=file, dataset=dataset, evaluates=False
        ):
            match event:
                case Started():
                    bar.reset(event.num_steps)
                    bar.update(event.step)
                    about = {"data": event.data, "inventory": event.inventory}
                case Progress():
                    bar.update(event.step - bar.n)
                    bar.set_postfix(loss=f"{event.metrics.get('train/loss', 0):.4g}")
                    history.append({"step": event.step, **event.metrics})
                case CheckpointDue() if file is not None:
                    event.save(file)
                case Trained():
                    bar.update(event.state.step - bar.n)
                    trained = TrainedEncoder.taken_from(event.state, trial, **about)
    assert trained is not None, "only a run that is stopped ends otherwise"
    return Pretrained(
        encoder=trained.encoder(trial),
        trial=trial,
        preprocessing=trained.preprocessing,
        step=trained.step,
        trained=trained,
        history=history,
    )


def _given(
    samples: Samples,
    labels: Labels | None,
    modality: str | None,
    sized_for: SizedFor,
    sample_rate: int,
) -> Given:
    items = unpacked(samples)
    known = labels if labels is not None else items.labels
    size = len(items.samples)
    classes: tuple[str, ...] = ()
    indices = np.zeros(size, np.int64)
    if known is not None:
        indices, classes = class_indices(known, size)
    name = modality_in(items.samples) if modality is None else modality
    match name:
        case "vision":
            images = as_images(items.samples)
            return GivenImages(images, indices, classes, sized_for)
        case "speech":
            return GivenWaves(as_waves(items.samples, sample_rate), sized_for)
        case "text":
            return GivenTexts(as_texts(items.samples), indices, classes, sized_for)
        case _:
            raise refused("modality", one_of(TRIAL_TYPES, name))


def _trial(given: Given, settings: Mapping[str, Any], seed: int) -> TrialConfig:
    """The recipe of the data with the caller's settings over it."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    data = _merged(
        {"execution": {"num_threads": threads}, **given.settings}, _nested(settings)
    )
    data |= {"seed": seed, "data": MemoryData(digest=given.digest).model_dump()}
    return parse_trial(data)


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names taken apart."""
    nested: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        inner: Any = {last: value}
        for parent in reversed(parents):
            inner = {parent: inner}
        nested = _merged(nested, inner)
    return nested


def _merged(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Sections joined; one of another kind replaces what was there."""
    result = dict(base)
    for name, value in new.items():
        old = result.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            other_kind = value.get("kind", old.get("kind")) != old.get("kind")
            result[name] = dict(value) if other_kind else _merged(old, value)
        else:
            result[name] = value
    return result


@contextlib.contextmanager
def _threads() -> Iterator[None]:
    """Torch's number of threads afterwards is what it was."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _bar(shown: bool) -> Iterator[Any]:
    with tqdm(disable=not shown, unit="update", desc="pre-training") as bar:
        yield bar
