"""What a modality has to say."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from d2v_core.config.data2vec2 import InverseBlockMask
from d2v_core.config.trial import TrialConfig
from d2v_core.data.batch import Batches
from d2v_core.data.inventory import Inventory
from d2v_core.encoders.encoder import Encoder
from d2v_core.encoders.inputs import Inputs
from d2v_core.errors import Problem
from d2v_core.evaluation.outcome import Evaluation
from d2v_core.evaluation.own import own_metrics
from d2v_core.masks.inverse_block import BlockRule
from d2v_core.masks.masked import MaskSampler
from d2v_core.objectives.parts.criteria import Criterion, pooled_cross_entropy
from d2v_core.objectives.parts.recovered import Recovered
from d2v_core.training.parallel import ALONE, Workers


@runtime_checkable
class Dataset(Protocol):
    """What everybody may know of a data set.

    Attributes:
        name: For people.
        classes: Names of the labels a supervised arm learns; empty: it has none.
        notes: What a reader of the result needs to know, like files left out.
        inventory: What was found and what is used of it.
    """

    @property
    def name(self) -> str:
        """For people."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks."""

    @property
    def inventory(self) -> Inventory:
        """What was found."""


Recover = Callable[[Inputs], Recovered]
Trial = TypeVar("Trial", bound=TrialConfig)
Network = TypeVar("Network", bound=Encoder)
Data = TypeVar("Data", bound=Dataset)


class Modality(ABC, Generic[Trial, Network, Data]):
    """Input, positions, masks, data and evaluation of one modality."""

    @abstractmethod
    def data_digest(self, trial: Trial) -> str:
        """Digest of the data a trial reads, 16 hex digits; fast once computed.

        Raises:
            DataError: The data is not there.
        """

    def training_digest(self, trial: Trial) -> str:
        """Digest of the part of it that training reads; by default all of it.

        Raises:
            DataError: The data is not there.
        """
        return self.data_digest(trial)

    @abstractmethod
    def load_data(self, trial: Trial) -> Data:
        """All splits of a trial's data, as the encoder reads them.

        Raises:
            DataError: The data is not there or broken.
        """

    def same_data(self, trial: Trial) -> str:
        """Trials with the same text here load the same data."""
        data: str = getattr(trial, "data").model_dump_json()  # noqa: B009
        return data

    @abstractmethod
    def build_encoder(self, trial: Trial) -> Network:
        """The encoder, drawing its weights from torch's global generator."""

    def check(self, trial: Trial, encoder: Network) -> list[Problem]:
        """What the encoder lacks of what the trial asks for.

        Raises:
            ConfigError: A metric of the user's own cannot be used.
        """
        own_metrics(trial, trial.evaluation.metrics)
        return []

    @abstractmethod
    def masks(
        self, trial: Trial, encoder: Network, workers: Workers = ALONE
    ) -> MaskSampler:
        """The configured kind of mask, of this worker's rows.

        Every worker draws for the whole batch and keeps its own.
        """

    @abstractmethod
    def batches(self, trial: Trial, dataset: Data, workers: Workers = ALONE) -> Batches:
        """This worker's rows of the training batches as a function of the update."""

    def example(self, trial: Trial, num_samples: int) -> Inputs | None:
        """Inputs shaped like a training batch's, made up without data, on the CPU.

        As long as the trial's samples are on average: what an update costs is counted
        with them (:mod:`d2v_core.costs`). None: the cost cannot be told.
        """
        return None

    def criterion(self, trial: Trial, label_smoothing: float) -> Criterion:
        """Loss of a classifier on the labels of the data."""
        return pooled_cross_entropy(label_smoothing)

    @abstractmethod
    def evaluate(self, trial: Trial, encoder: Network, dataset: Data) -> Evaluation:
        """The trial's evaluation protocol on one trained (or untrained) encoder."""

    def picture(
        self, trial: Trial, encoder: Network, dataset: Data, recover: Recover
    ) -> bytes | None:
        """A PNG of some validation samples and what is recovered of them.

        Args:
            trial: The configuration.
            encoder: Trained.
            dataset: Its data.
            recover: Hides and predicts a batch on the CPU.

        Returns:
            None where there is nothing to see.
        """
        return None

    @abstractmethod
    def inputs_of(
        self, trial: Trial, samples: Any, preprocessing: Mapping[str, Any]
    ) -> Inputs:
        """Samples of one's own as the encoder reads them, on the CPU.

        Args:
            trial: What the encoder was trained with.
            samples: A batch; see :meth:`d2v_core.loading.LoadedEncoder.features`.
            preprocessing: As :meth:`preprocessing` gave it.

        Raises:
            ConfigError: The samples are of another kind or shape.
        """

    def preprocessing(self, trial: Trial, dataset: Data) -> Mapping[str, Any]:
        """Preprocessing that the encoder needs wherever it is used.

        Part of checkpoints, so plain numbers, strings and tuples only; handed to the
        exporters as keywords.
        """
        return {}


def joined_digest(digest: Callable[[Any], str], data: Any, probed: Any | None) -> str:
    """Digest of what a trial trains on, and of what it is probed on if that is other.

    Args:
        digest: From a section of data to 16 hex digits.
        data: The trial's.
        probed: Its evaluation's; None: the same, and the digest is the data's own.
    """
    if probed is None:
        return digest(data)
    both = f"{digest(data)} {digest(probed)}"
    return hashlib.sha256(both.encode()).hexdigest()[:16]


def probed_beside(dataset: Any, probed: Any) -> Any:
    """A data set with the labelled one it is evaluated on.

    Args:
        dataset: A dataclass with ``probed``, ``notes`` and ``inventory``.
        probed: Another of its type.
    """
    return replace(
        dataset,
        probed=probed,
        notes=(*dataset.notes, *probed.notes),
        inventory=dataset.inventory.beside(probed.name, probed.inventory),
    )


def block_rule(mask: InverseBlockMask) -> BlockRule:
    """What inverse block masks draw, the same in every modality."""
    return BlockRule(
        ratio=mask.ratio,
        block=mask.block,
        adjust=mask.adjust,
        hides=mask.blocks == "hidden",
    )
