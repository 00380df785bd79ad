"""Ray for one run: started on this machine, or a cluster that is joined.

Ray on this machine listens on loopback only, and asks for its token as Ray 2.60 does by
default. On a cluster, the token and what listens where are its owner's choice; the code
travels with the run (Ray's runtime environment), so nodes need the libraries, and no
checkout. This module is imported before Ray, which reads its environment when imported.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from types import TracebackType
from typing import Any, ClassVar

from d2v_core.config import TrialConfig
from d2v_core.errors import ConfigError, Problem
from sweeps.plan.resources import (
    Node,
    num_at_once,
    num_cores,
    resource_problems,
    this_machine,
)
from sweeps.ray.cluster import Wanted, look, node_problems, place_problems, read_of
from sweeps.ray.compat import (
    JOB_CONFIG,
    NO_GPU_UNLESS_RESERVED,
    NO_IDLE_WORKERS,
    ON_LOOPBACK,
)
from sweeps.tracking.stores import Stores, check_address

QUIET = {
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
"""Tune prints nothing (its new output has a headline even when it is silent), and keeps
no files of its own: nothing reads them again."""
ROOMS = ("d2v_core", "ablations", "sweeps")
"""What the workers need of the code."""
POLL_SECONDS = 0.5
SHORT_TEMPORARY = "/tmp"
MAX_TEMPORARY_LENGTH = 36
"""Ray's sockets lie 70 characters below its folder for temporary files, and the system
takes no socket path of more than 107."""
ANSWER_SECONDS = 180.0
"""For every node to fetch the code and import its libraries once."""


class RaySession:
    """Ray while the context is open, started or joined when first needed.

    It starts and ends in a thread of its own, so that it overlaps with what the driver
    does before and after. Ray's processes die with the thread that started them (Linux
    tells them), so that thread stays until they are not needed.

    Args:
        address: Address of a Ray cluster; None or ``local`` starts Ray on this machine.
        stores: The places.

    Attributes:
        nodes: Those of Ray, once it is started or joined.
    """

    def __init__(self, address: str | None, stores: Stores) -> None:
        self._address = None if address == "local" else address
        self._stores = stores
        self._thread: Thread | None = None
        self._ready, self._over = Event(), Event()
        self._error: Exception | None = None
        self.nodes: list[Node] = []

    _last: ClassVar[Thread | None] = None
    """Thread of the session before: a process has one Ray at a time."""

    def __enter__(self) -> RaySession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End Ray here, or leave the cluster; not waited for.

        What is left of Ray's objects is freed first: freeing one while its thread shuts
        Ray down ends the process.
        """
        if self._thread is not None and not self._over.is_set():
            gc.collect()
        self._over.set()

    def check(
        self, trials: Mapping[str, TrialConfig], lacks: Callable[[str], bool]
    ) -> None:
        """Refuse what cannot work; joins the cluster if there is one.

        Args:
            trials: By key.
            lacks: Whether a trial has to be trained; asked as seldom as possible, and
                what need not be trained is never refused.

        Raises:
            ConfigError: The cluster cannot be joined, a trial reserves more than it can
                ever give, or a node lacks the storage, the data or a library.
        """
        if self._address is not None:
            if not any(lacks(key) for key in trials):
                return
            self.start()
        nodes = self._known_nodes()
        problems = [
            problem
            for key, trial in trials.items()
            for problem in resource_problems(nodes, trial)
            if lacks(key)
        ]
        if self._address is not None:
            problems += place_problems(nodes, self._stores)
            problems += self._node_problems(trials.values())
        if problems:
            self.close()
            raise ConfigError(dict.fromkeys(problems))

    def num_at_once(self, trials: Iterable[TrialConfig]) -> int:
        """Trials that can run at the same time; of the hungriest, if they differ."""
        return num_at_once(self._known_nodes(), trials)

    def _known_nodes(self) -> list[Node]:
        return self.nodes or [this_machine()]

    @property
    def is_local(self) -> bool:
        """Whether Ray is started here, rather than joined."""
        return self._address is None

    @property
    def scratch(self) -> Path | None:
        """Where Tune may keep its own state, which all nodes must see; None: anywhere.

        Nothing there is read again.
        """
        return None if self._address is None else self._stores.storage

    def begin(self) -> None:
        """Begin to start Ray, or to join the cluster; :meth:`start` waits for it."""
        if self._thread is None:
            if RaySession._last is not None:
                RaySession._last.join()
            self._thread = RaySession._last = Thread(target=self._live, name="ray")
            self._thread.start()

    def start(self) -> None:
        """Start Ray here, or join the cluster; once.

        Raises:
            ConfigError: The cluster cannot be joined.
        """
        self.begin()
        self._ready.wait()
        _take_signals_back()
        if self._error is not None:
            raise self._error

    def _live(self) -> None:
        try:
            self._connect()
            self.nodes = _alive_nodes()
        except Exception as error:  # raised in the thread that waits
            self._error = error
        self._ready.set()
        while not self._over.wait(POLL_SECONDS):
            if not main_thread().is_alive():
                break
        import ray

        ray.shutdown()

    def _connect(self) -> None:
        os.environ.update({**QUIET, **NO_GPU_UNLESS_RESERVED})
        if self._address is None:
            os.environ.update({**ON_LOOPBACK, **NO_IDLE_WORKERS})
            _shorten_temporary_folder()
        else:
            check_address(self._address)
        import ray  # noqa: F401  (sets the levels that are changed here)

        for name in ("ray", "ray.tune", "ray.train", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        quiet: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "configure_logging": False,
        }
        if self._address is None:
            _start_here(quiet)
        else:
            self._join(quiet)

    def _join(self, quiet: dict[str, Any]) -> None:
        import ray

        try:
            ray.init(address=self._address, runtime_env=_code(), **quiet)
        except Exception as error:  # Ray raises many kinds, none of its own
            message = f"cannot join the Ray cluster at {self._address}: {_line(error)}"
            advice = (
                "run d2v on a machine of the cluster, with its token (RAY_AUTH_TOKEN, "
                "or the head's ~/.ray/auth_token), or hand it in: "
                "ray job submit --address http://HEAD:8265 -- d2v run …"
            )
            raise ConfigError([Problem("--address", f"{message}; {advice}")]) from error

    def _node_problems(self, trials: Iterable[TrialConfig]) -> list[Problem]:
        """Every node that may get a trial must see the storage and the data."""
        given = tuple(sorted({place for trial in trials for place in read_of(trial)}))
        problems: list[Problem] = []
        with _token(self._stores.storage, given) as wanted:
            for node, seen in _ask_all(self.nodes, wanted):
                if isinstance(seen, Exception):
                    advice = "install this project's requirements on every node"
                    message = f"node {node.host} cannot run trials: {_line(seen)}"
                    problems.append(Problem("--address", f"{message}; {advice}"))
                else:
                    problems += node_problems(node, wanted, seen)
        return problems


def _start_here(quiet: dict[str, Any]) -> None:
    """Start Ray; it gives its own processes 30 s, too little on a busy machine."""
    import ray

    quiet = {**quiet, "num_cpus": num_cores()}  # Ray does not look at the affinity
    for tries_left in (2, 1, 0):
        try:
            with _children_spared_from_sigterm():
                ray.init(address="local", include_dashboard=False, **quiet)
        except Exception as error:  # Ray raises no narrower one
            if "timed out during startup" not in str(error) or not tries_left:
                raise
            ray.shutdown()
        else:
            return


@contextmanager
def _children_spared_from_sigterm() -> Iterator[None]:
    """Start processes that SIGTERM does not end; Ray does the same for SIGINT.

    Batch systems send it to the whole process group. Trials can only save if Ray is
    still there then; Ray ends what is left with SIGKILL a second later.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_signals_back() -> None:
    """Install this process's handlers again: Ray's own end it with SIGABRT."""
    if current_thread() is not main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)


def _shorten_temporary_folder() -> None:
    """Lead Ray away from a TMPDIR that is too long for its sockets."""
    if len(tempfile.gettempdir()) > MAX_TEMPORARY_LENGTH:
        os.environ.setdefault("RAY_TMPDIR", SHORT_TEMPORARY)


def _code() -> dict[str, Any]:
    """Ray's runtime environment: the rooms the workers need, as they are here."""
    here = Path(__file__).resolve().parents[2]
    environment: dict[str, Any] = {
        "env_vars": NO_GPU_UNLESS_RESERVED,
        "excludes": ["__pycache__"],
    }
    if "py_modules" not in os.environ.get(JOB_CONFIG, ""):
        environment["py_modules"] = [str(here / room) for room in ROOMS]
    return environment


def _alive_nodes() -> list[Node]:
    import ray

    return [
        Node(
            id=node["NodeID"],
            host=node["NodeManagerAddress"],
            num_cpus=node["Resources"].get("CPU", 0.0),
            num_gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


@contextmanager
def _token(storage: Path, places: tuple[str, ...]) -> Iterator[Wanted]:
    """A file in the storage that only those who share it can read."""
    token = uuid.uuid4().hex
    file = storage / f".token-{token}"
    made = not storage.exists()
    storage.mkdir(parents=True, exist_ok=True)
    file.write_text(token)
    try:
        yield Wanted(file, token, places)
    finally:
        file.unlink(missing_ok=True)
        if made and not any(storage.iterdir()):
            storage.rmdir()


def _ask_all(
    nodes: Collection[Node], wanted: Wanted
) -> Iterator[tuple[Node, dict[str, Any] | Exception]]:
    """What each node that has CPUs sees, or why it could not say."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = ray.remote(num_cpus=0, max_retries=0)(look)
    answers = [
        (
            node,
            asked.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)
            ).remote(wanted),
        )
        for node in nodes
        if node.num_cpus
    ]
    ray.wait(
        [answer for _, answer in answers],
        num_returns=len(answers),
        timeout=ANSWER_SECONDS,
    )
    for node, answer in answers:
        try:
            yield node, ray.get(answer, timeout=0)
        except ray.exceptions.RayError as error:
            yield node, error


def _line(error: Exception) -> str:
    """The line of an error that says most: the last of a remote traceback."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
