"""What a run on this machine opens: loopback only, and behind a token."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeps.driver.long_run import LONG, checkpoints
from tests.sweeps.ray.clusters import hosts, needs_hosts, wait_for

ENDLESS = tuple(word.replace("num_steps=300", "num_steps=1000000") for word in LONG)
"""The refusal takes Ray 20 seconds; the run is killed with its host."""


@pytest.mark.thorough
@needs_hosts
def test_a_run_listens_on_loopback_only_and_wants_a_token(tmp_path: Path) -> None:
    """On a host of its own, so all that listens there belongs to the run."""
    with hosts(tmp_path, 1) as (host,):
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            del host.variables[name]
        host.variables["HOME"] = str(host.folder)
        command = (sys.executable, "-m", "d2v_cli", *ENDLESS)
        run = host.start(*command, log="run")
        wait_for(lambda: checkpoints(host.folder), run, host.log("run"))
        sockets = ["ip", "netns", "exec", host.name, "ss", "-Hltunp"]
        shown = subprocess.run(sockets, capture_output=True, text=True, check=True)
        lines = shown.stdout.splitlines()
        listening = [line.split()[4].rpartition(":")[0].strip("[]") for line in lines]
        assert len(listening) >= 4  # GCS, raylet, driver, workers
        for line, address in zip(lines, listening, strict=True):
            assert address != "*", line
            assert _is_loopback(address), line
        assert (host.folder / ".ray" / "auth_token").read_text()
        intruder = (
            "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR')"
        )
        [port] = [
            line.split()[4].rpartition(":")[2] for line in lines if "gcs_" in line
        ]
        address = f"127.0.0.1:{port}"
        extra = {"RAY_AUTH_TOKEN": "wrong", "RAY_AUTH_MODE": "token"}
        done = host.run(sys.executable, "-c", intruder, address, **extra)
        assert done.code == 1
        assert "InvalidAuthToken" in done.err


def _is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback
