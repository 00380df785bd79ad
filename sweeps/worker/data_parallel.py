"""A trial that several processes train together, through Ray Train's TorchTrainer.

Ray Tune still schedules the trial and starts it again. Its function reserves next to
nothing: Ray Train (V2) makes a placement group of its own for the workers, all at once
or not at all. The first worker does what the only one does otherwise
(:mod:`sweeps.worker.trial`); its reports come through a queue, because
``ray.train.report`` would make every worker wait for the slowest at each of them.
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Queue

    from d2v_core.training.parallel import Workers
    from sweeps.worker.outbox import Send
    from sweeps.worker.spool import Spool

DRIVER_BUNDLE = {"memory": float(2**28)}
"""What Tune's function reserves of a trial with workers; no CPU, they need them all."""
POLL_SECONDS = 0.5
"""Between two looks whether the workers have ended."""
TIMEOUT_SECONDS = 7 * 24 * 3600
"""Limit of torch's collectives. Ray Train sees a worker that died; a slow one lives."""


class EndedError(RuntimeError):
    """Raised by a worker whose trial is over, to end the others."""


def run_anyhow(job: Mapping[str, Any], send: Send) -> None:
    """Run one trial, in this process or in as many as its configuration says.

    Args:
        job: As in :func:`sweeps.worker.trial.run_job`.
        send: Likewise.
    """
    from sweeps.worker.trial import run_job

    count = job["num_workers"]
    if count == 1:
        run_job(job, send)
    else:
        run_together(job, count, send)


def run_together(job: Mapping[str, Any], count: int, send: Send) -> None:
    """Run one trial in ``count`` workers of Ray Train, and pass on what they say.

    Raises:
        TrainingFailedError: Ray Train's; a worker died, or could not be started.
    """
    from ray.util.queue import Queue

    from sweeps.worker.job import spool_of
    from sweeps.worker.trial import is_over

    if is_over(job, send):
        return
    folder = Path(job["folder"]) / f"ray-train-{uuid.uuid4().hex[:8]}"
    remove_leftovers(job["key"])
    folder.mkdir(parents=True)
    queue = Queue(actor_options={"num_cpus": 0})
    try:
        fit = in_background(make_trainer(job, count, queue, folder))
        ended = pass_on(messages_until(fit, queue), spool_of(job), send)
    finally:
        queue.shutdown(force=True)
        shutil.rmtree(folder, ignore_errors=True)
    if not ended:
        fit.result()  # raises: Tune starts the trial again from its last checkpoint


def pass_on(messages: Iterable[dict[str, Any]], spool: Spool, send: Send) -> bool:
    """Send on what the first worker says; whether the trial has ended.

    The first fault of another worker is the trial's result, unless the first worker has
    one itself.
    """
    from ablations.record import Record
    from sweeps.worker.trial import hand_in

    ended, faults = False, []
    for message in messages:
        if "fault" in message:
            faults.append(message["fault"])
            continue
        send(message)
        ended = "record" in message or "stopped" in message
    if faults and not ended:
        hand_in(Record.model_validate_json(faults[0]), spool, send)
    return ended or bool(faults)


def remove_leftovers(key: str) -> None:
    """Free what an earlier attempt has reserved whose process here was killed.

    Ray frees the placement group of a dead controller only when the whole run is over;
    Ray Train's own cleaner needs Ray's dashboard.
    """
    import ray
    from ray.util import placement_group_table, remove_placement_group
    from ray.util.placement_group import PlacementGroup

    for name, group in placement_group_table().items():
        bundles, state = group["bundles"].values(), group["state"]
        if state != "REMOVED" and any(b.get("memory") == mark(key) for b in bundles):
            group_id = ray.PlacementGroupID(bytes.fromhex(name))
            remove_placement_group(PlacementGroup(group_id))


def mark(key: str) -> float:
    """Bytes that each worker of a trial reserves: by this its group is recognised."""
    return float(2**24 + int(key[:6], 16))


def in_background(trainer: TorchTrainer) -> Future[Any]:
    """The training in a thread that nothing waits for when this process is to end."""
    fit: Future[Any] = Future()

    def run() -> None:
        try:
            fit.set_result(trainer.fit())
        except BaseException as error:  # raised where the result is asked for
            fit.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return fit


def messages_until(fit: Future[Any], queue: Queue) -> Iterator[dict[str, Any]]:
    """What the workers say, until they have ended and all is said."""
    from ray.util.queue import Empty

    while True:
        over = fit.done()
        try:
            yield queue.get(timeout=POLL_SECONDS)
        except Empty:
            if over:
                return


def make_trainer(
    job: Mapping[str, Any], count: int, queue: Queue, folder: Path
) -> TorchTrainer:
    """Ray Train with its defaults but for the failures, which Tune counts."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from sweeps.ray.compat import meeting_left_to_workers
    from sweeps.worker.loopback_group import is_alone

    execution = job["trial"]["execution"]
    gpus, alone = execution["num_gpus"], is_alone()
    torch_config = meeting_left_to_workers(TorchConfig) if alone else TorchConfig
    return TorchTrainer(
        run_share,
        train_loop_config={
            "job": dict(job),
            "queue": queue,
            "meeting": str(folder / "meeting") if alone else None,
        },
        scaling_config=ScalingConfig(
            num_workers=count,
            use_gpu=bool(gpus),
            resources_per_worker={
                "CPU": execution["num_threads"],
                "memory": mark(job["key"]),
                **({"GPU": gpus} if gpus else {}),
            },
        ),
        torch_config=torch_config(timeout_s=TIMEOUT_SECONDS),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            failure_config=FailureConfig(max_failures=0),
        ),
    )


def run_share(config: dict[str, Any]) -> None:
    """What each worker runs.

    Raises:
        PeerLostError: Another worker is gone.
        EndedError: The trial ended before its time; the first worker has said how.
        Exception: Any fault of another worker, after it was sent.
    """
    import ray

    from d2v_core.training.parallel import Workers
    from sweeps.worker.loopback_group import join

    queue, job = config["queue"], config["job"]

    def send(message: dict[str, Any]) -> None:
        try:
            queue.put(message)
        except ray.exceptions.RayActorError:
            os._exit(1)  # who started this is gone, and Tune starts the trial again

    if meeting := config["meeting"]:
        gpu = bool(job["trial"]["execution"]["num_gpus"])
        say = partial(_send_loss, send)
        join(meeting, say, seconds=TIMEOUT_SECONDS, gpu=gpu)
    workers = Workers.joined()
    (follow if workers.rank else lead)(job, send, workers)


def _send_loss(send: Send, loss: str) -> None:
    send({"lost": loss})


def lead(job: Mapping[str, Any], send: Send, workers: Workers) -> None:
    """The first worker: trains, writes, evaluates and reports."""
    from ablations.record import DONE, Record
    from sweeps.worker.trial import run_job

    last: dict[str, Any] = {}

    def keep_and_send(message: dict[str, Any]) -> None:
        nonlocal last
        last = message
        send(message)

    run_job(job, keep_and_send, workers)
    record = last.get("record")
    if record is None or Record.model_validate_json(record).status not in DONE:
        raise EndedError("the trial ended before its time; the others must not wait")


def follow(job: Mapping[str, Any], send: Send, workers: Workers) -> None:
    """Another worker: trains; says only why it cannot."""
    from d2v_core.training.parallel import PeerLostError
    from sweeps.worker.job import spool_of
    from sweeps.worker.outbox import PendingProgress
    from sweeps.worker.trial import Attempt
    from sweeps.worker.watchdog import Watchdog

    silent = PendingProgress(lambda message: None, spool_of(job))
    attempt = Attempt(job, silent, workers)
    try:
        attempt.run(Watchdog(None, lambda: None), Path(job["stop_file"]))
    except PeerLostError:
        raise
    except Exception as error:
        send({"fault": attempt.failed(error).model_dump_json()})
        raise
