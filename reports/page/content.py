"""Everything a report shows, computed; layouts only read it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ablations.record import Manifest
from reports.claims.verdicts import Verdict
from reports.figures.curve import FigureData
from reports.figures.score_curves import ScoreFigure
from reports.figures.training_curves import Curves
from reports.statistics.study_noise import StudyNoise
from reports.statistics.summary import StudyResult
from reports.store.mlflow_view import StudyView
from reports.tables.ledger import Ledger
from reports.tables.side_by_side import SideBySide, side_by_side
from reports.tables.table import Table


@dataclass(frozen=True)
class Sibling:
    """The same study at the same scale in another modality.

    Attributes:
        modality: Which one.
        result: Its numbers.
        figure: Its curves.
    """

    modality: str
    result: StudyResult
    figure: FigureData


@dataclass(frozen=True)
class Content:
    """Everything a page shows.

    Attributes:
        table: As printed.
        result: The numbers behind it.
        manifest: The planned study.
        frame: Its trials.
        figure: The main figure.
        siblings: Its like in other modalities.
        verdicts: On the study's claims.
        noise: Where it comes from; None where trials do not tell.
        curves: Over training.
        scores: Over training, where trials were probed.
        ledger: Counts, costs, environments.
        tracking_uri: Links lead to it, or to where ``d2v ui`` serves it.
        view: Its runs in MLflow.
    """

    table: Table
    result: StudyResult
    manifest: Manifest
    frame: pd.DataFrame
    figure: FigureData
    siblings: tuple[Sibling, ...]
    verdicts: tuple[Verdict, ...]
    noise: StudyNoise | None
    curves: Curves
    scores: tuple[ScoreFigure, ...]
    ledger: Ledger
    tracking_uri: str
    view: StudyView

    @property
    def side_by_side(self) -> SideBySide | None:
        """This modality and the others; None where they share no arms."""
        others = {sibling.modality: sibling.result for sibling in self.siblings}
        return side_by_side({**others, self.manifest.modality: self.result})
