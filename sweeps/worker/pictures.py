"""A picture of samples lies beside a trial's result until the store has it."""

from __future__ import annotations

from ablations.redaction import redacted
from d2v_core.config import TrialConfig
from d2v_core.modalities.modality import Dataset
from d2v_core.objectives.protocol import Objective
from d2v_core.sample_pictures import sample_picture
from sweeps.worker.outbox import PendingProgress


def leave_picture(
    trial: TrialConfig, objective: Objective, dataset: Dataset, pending: PendingProgress
) -> None:
    """Draw and keep one where there is something to see; no result depends on it."""
    try:
        png = sample_picture(trial, objective, dataset)
        if png is not None:
            pending.spool.write_picture(png)
    except Exception as error:  # whatever a network of the user's own raises
        why = redacted(f"{type(error).__name__}: {error}".splitlines()[0])
        pending.send_now({"said": f"no picture of samples was drawn ({why})"})
