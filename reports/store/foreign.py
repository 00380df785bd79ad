"""The one way in for what a tracking store holds: checked and bounded, or a fault.

Others write to a shared store, newer versions too, and files get torn. So nothing of it
is used as it comes: JSON goes through :func:`parse`, tags and metrics through the
functions here, and what is wrong ends as a :class:`StoreContentError` that names study,
run and field. What a plan must hold inside is :mod:`reports.store.plan_checks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from ablations.mlflow_names import (
    DRAWS_TAG,
    OPENED_TAG,
    REASON_TAG,
    STATUS_TAG,
    TRIES_TAG,
)
from ablations.record import DONE, FailedTry, Status
from d2v_core.errors import ConfigError, Problem
from reports.statistics.inference import LARGEST
from reports.text import one_line, quoted

Location = tuple[str, str, str]
"""Study, modality, scale."""
MAX_BYTES = 64 << 20
"""Largest artifact that is read: a plan of 200 arms with 1,000 seeds has 20 MB."""
MAX_PROBLEMS = 3
"""Named in a message."""
MAX_MESSAGE = 500
"""Characters."""
LAST_MOMENT = 253_402_300_799_000
"""Unix milliseconds of the year 9999, where dates end."""

Parsed = TypeVar("Parsed")
FAILED_TRIES = TypeAdapter(tuple[FailedTry, ...])
DRAWS = TypeAdapter(dict[str, tuple[float, ...]])


class StoreContentError(ConfigError):
    """Something in the tracking store cannot be used.

    Attributes:
        place: Study, modality and scale.
        message: Run, field, what must hold and what is there.
    """

    def __init__(self, place: Location, message: str) -> None:
        self.place = place
        self.message = message
        study, modality, scale = (quoted(part) for part in place)
        where = f"study {study} ({modality}, {scale})"
        super().__init__([Problem(where, message)])


@dataclass(frozen=True)
class Origin:
    """The origin of something that was read.

    Attributes:
        place: Study, modality and scale.
        run_id: The run.
    """

    place: Location
    run_id: str

    def fault(self, field: str, requirement: str) -> StoreContentError:
        """The error to raise; ``requirement`` says what must hold and what is there."""
        text = one_line(f"run {self.run_id[:32]}, {field}: {requirement}")
        cut = text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"
        return StoreContentError(self.place, cut)


def parse(
    adapter: TypeAdapter[Parsed], text: str, origin: Origin, field: str
) -> Parsed:
    """JSON of the store as what it should be.

    Raises:
        StoreContentError: It is not; names up to three of the places.
    """
    if len(text) > MAX_BYTES:
        raise origin.fault(field, f"must have at most {MAX_BYTES >> 20} MiB")
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise origin.fault(field, _described(error)) from None


def _described(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)
    for one in details:
        if one["loc"] == ("version",):
            return (
                f"was written by another version of d2v (format {quoted(one['input'])},"
                " this one reads 1); report it with that version"
            )
    texts = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}, got {quoted(one['input'])}"
        if one["loc"]
        else f"is cut short or no JSON ({one['msg']}); run the study again"
        for one in details[:MAX_PROBLEMS]
    ]
    more = len(details) - MAX_PROBLEMS
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")


def read_status(
    tags: Mapping[str, str], run_status: str, origin: Origin
) -> tuple[str, str]:
    """Read how a trial stands, and why; without a record neither done nor failed.

    Raises:
        StoreContentError: It has a status that this version does not know.
    """
    status = tags.get(STATUS_TAG)
    if status is not None:
        known = get_args(Status)
        if status not in known:
            wanted = f"must be one of {', '.join(known)}, got {quoted(status)}"
            raise origin.fault(f"tag {STATUS_TAG}", f"{wanted}; is it of a newer d2v?")
        return status, tags.get(REASON_TAG, "")
    if run_status in ("RUNNING", "SCHEDULED"):
        return "unfinished", "started, no result yet (running or interrupted)"
    return "unfinished", f"ended as {run_status} without a record"


def read_failed_tries(
    tags: Mapping[str, str], run_status: str, origin: Origin
) -> tuple[FailedTry, ...]:
    """Tries without a result as tagged; a failure before that tag existed is one.

    Raises:
        StoreContentError: The tag cannot be read.
    """
    if tagged := tags.get(TRIES_TAG):
        field = f"tag {TRIES_TAG}"
        tries = parse(FAILED_TRIES, tagged, origin, field)
        for one in tries:
            if one.seconds is not None and not 0.0 <= one.seconds <= LARGEST:
                wanted = f"seconds: must be 0 or more, got {quoted(one.seconds)}"
                raise origin.fault(field, wanted)
        return tries
    status, reason = read_status(tags, run_status, origin)
    if status in (*DONE, "unfinished"):
        return ()
    return (FailedTry.model_validate({"status": status, "reason": reason}),)


def read_draws(
    tags: Mapping[str, str], metric: str, origin: Origin
) -> tuple[float, ...]:
    """A metric at each label draw.

    Returns:
        Nothing where the trial does not tell, or one of them is not finite: a spread
        without it would be too small.

    Raises:
        StoreContentError: The tag cannot be read.
    """
    if not (tagged := tags.get(DRAWS_TAG)):
        return ()
    draws = parse(DRAWS, tagged, origin, f"tag {DRAWS_TAG}").get(metric, ())
    return draws if all(abs(draw) <= LARGEST for draw in draws) else ()


def read_opened(tags: Mapping[str, str], started: int, origin: Origin) -> int:
    """Unix milliseconds of the last run of a request, or of the run's own start.

    Raises:
        StoreContentError: The tag is no such number.
    """
    text = tags.get(OPENED_TAG)
    if not text:
        return started
    if not re.fullmatch("[0-9]{1,15}", text):
        wanted = f"must be Unix milliseconds, got {quoted(text)}"
        raise origin.fault(f"tag {OPENED_TAG}", wanted)
    return int(text)


def usable_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics, those that are not finite or too large to compute with as NaN."""
    return {
        name: value if abs(value) <= LARGEST else float("nan")
        for name, value in metrics.items()
    }


def usable_moment(milliseconds: int | None) -> int:
    """A time as it is, or 0, unknown, if no calendar has it."""
    moment = milliseconds or 0
    return moment if 0 <= moment <= LAST_MOMENT else 0
