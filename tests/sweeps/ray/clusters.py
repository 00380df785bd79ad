"""Real clusters for tests: ``ray start`` on hosts that are network namespaces.

A host has its own loopback, address and ``/tmp/ray``; nothing outside can reach it, and
folders can be hidden from it. A node is ended as a lost machine is: all its processes
at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sweeps.command import Done, environment
from tests.sweeps.driver.long_run import end_ray_of

ROOT = Path(__file__).parents[3]
ROOMS = ("d2v_core", "ablations", "sweeps", "reports", "d2v_cli")
CHECKOUT = tuple(ROOT / room for room in ROOMS)
PORT = 6379
UP = "This command will now block"
FAST_HEALTH_CHECKS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
}


def hosts_can_be_made() -> bool:
    """Whether this user may make network namespaces: root may, in most containers."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"d2v-{os.getpid()}-try"
    tried = [["ip", "netns", verb, name] for verb in ("add", "delete")]
    done = [subprocess.run(words, capture_output=True, check=False) for words in tried]
    return not any(one.returncode for one in done)


needs_hosts = pytest.mark.skipif(
    not hosts_can_be_made(), reason="hosts of their own need root, ip and namespaces"
)


@dataclass
class Host:
    """A machine of its own as far as network and ``/tmp/ray`` go.

    Attributes:
        name: Name of its network namespace.
        address: Address of its network card.
        folder: What it keeps: its ``/tmp/ray``, its logs.
        variables: Environment of every command on it.
        hidden: Folders that are empty for every command on it.
    """

    name: str
    address: str
    folder: Path
    variables: dict[str, str]
    hidden: tuple[Path, ...] = ()
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: str, log: str) -> subprocess.Popen[str]:
        """A command in the background, in a session of its own."""
        with self.log(log).open("w") as output:
            process = subprocess.Popen(
                self._here(command),
                cwd=self.folder,
                env=environment(**self.variables),
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def run(self, *command: str, seconds: float = 240, **extra: str) -> Done:
        """A command to its end."""
        done = subprocess.run(
            self._here(command),
            cwd=self.folder,
            env=environment(**{**self.variables, **extra}),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def d2v(self, *arguments: str, **extra: str) -> Done:
        return self.run(sys.executable, "-m", "d2v_cli", *arguments, **extra)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def ray_start(self, *arguments: str, log: str) -> subprocess.Popen[str]:
        """A node; back when it is up."""
        command = (
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
            *("--node-ip-address", self.address, "--object-store-memory", "100000000"),
        )
        for _ in range(3):  # Ray gives a busy machine 30 s
            process = self.start(*command, *arguments, log=log)
            while process.poll() is None and UP not in self.log(log).read_text():
                time.sleep(0.05)
            if process.poll() is None:
                return process
            end_ray_of(process.pid)
        raise AssertionError(self.log(log).read_text())

    def head(self, *arguments: str, dashboard: bool = False) -> subprocess.Popen[str]:
        shown = str(dashboard).lower()
        port = ("--head", "--port", str(PORT), "--include-dashboard", shown)
        return self.ray_start(*port, *arguments, log="head")

    def join(self, head: Host, *arguments: str, log: str) -> subprocess.Popen[str]:
        return self.ray_start("--address", head.ray, *arguments, log=log)

    @property
    def ray(self) -> str:
        """The address of the cluster whose head this is."""
        return f"{self.address}:{PORT}"

    def end(self) -> None:
        """End everything that was started here."""
        for process in self._started:
            end_ray_of(process.pid)
            process.wait()

    def _here(self, command: Sequence[str]) -> list[str]:
        own = self.folder / "ray"
        own.mkdir(parents=True, exist_ok=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        steps = [f"mount --bind {own} /tmp/ray"]
        steps += [f"mount -t tmpfs none {folder}" for folder in self.hidden]
        script = "; ".join([*steps, 'exec "$@"'])
        return ["ip", "netns", "exec", self.name, "sh", "-ec", script, "sh", *command]


@contextmanager
def hosts(folder: Path, count: int) -> Iterator[list[Host]]:
    """One host, or two that reach each other; a token of their own keeps others out."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": uuid.uuid4().hex,
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **FAST_HEALTH_CHECKS,
    }
    names = [f"d2v-{os.getpid()}-{uuid.uuid4().hex[:6]}" for _ in range(count)]
    made = []
    try:
        for i, name in enumerate(names):
            _ip("netns", "add", name)
            place = folder / f"host{i}"
            place.mkdir()
            made.append(Host(name, f"10.77.0.{i + 1}", place, dict(variables)))
            _ip("-n", name, "link", "set", "lo", "up")
        peer = ("peer", "name", "card", "netns", names[1]) if count > 1 else ()
        _ip("-n", names[0], "link", "add", "card", "type", "veth", *peer)
        for host in made:
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "card")
            _ip("-n", host.name, "link", "set", "card", "up")
        yield made
    finally:
        for host in made:
            host.end()
            _ip("netns", "delete", host.name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def lose(node: subprocess.Popen[str]) -> None:
    """``kill -9`` of a node: Ray's processes on it and the trials they run."""
    end_ray_of(node.pid)
    node.wait()


def wait_for_text(
    log: Path, text: str, process: subprocess.Popen[str], seconds: float = 240
) -> None:
    wait_for(lambda: text in log.read_text(), process, log, seconds)


def wait_for(
    happened: Callable[[], object],
    process: subprocess.Popen[str],
    log: Path,
    seconds: float = 240,
) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
