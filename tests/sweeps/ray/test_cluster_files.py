"""The files of docs/cluster: the Slurm script is run on one node, the YAML is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.sweeps.command import TINY
from tests.sweeps.ray.clusters import hosts, needs_hosts

FILES = Path(__file__).parents[3] / "docs" / "cluster"


@pytest.mark.thorough
@needs_hosts
def test_the_slurm_script_runs_a_study_on_one_node(tmp_path: Path) -> None:
    """With Slurm's variables and without Slurm: one node needs no ``srun``."""
    study = ("layer_averaging", "--seeds", "1", "--set", "target.top_k=2", *TINY)
    slurm = {
        "SLURM_JOB_ID": "1",
        "SLURM_NNODES": "1",
        "SLURM_CPUS_ON_NODE": "2",
        "PATH": f"{Path(sys.prefix) / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    with hosts(tmp_path, 1) as (host,):
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            del host.variables[name]
        lab = host.folder / "lab"
        script = str(FILES / "slurm.sbatch")
        done = host.run("bash", script, *study, **slurm, D2V_STORAGE=str(lab))
        assert done.code == 0, done.out + done.err
        assert "3 trials trained (3 finished)" in done.out
        assert (lab / "mlflow.db").exists()
        left = ["ip", "netns", "pids", host.name]
        assert not subprocess.run(left, capture_output=True, check=True).stdout


def test_the_job_for_kuberay_has_the_parts_its_operator_reads() -> None:
    """Names as in KubeRay's own types (rayjob_types.go, raycluster_types.go)."""
    job = YAML(typ="safe").load(FILES / "rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        assert isinstance(group["rayStartParams"], dict)
        volumes = {volume["name"] for volume in pod["volumes"]}
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert {"name": "shared", "mountPath": "/shared"} in container["volumeMounts"]
    pins = (FILES.parents[1] / "constraints.txt").read_text().splitlines()
    assert f"ray=={cluster['rayVersion']}" in pins
    assert "--storage /shared/" in job["spec"]["entrypoint"]
    assert "--tracking-uri http" in job["spec"]["entrypoint"]
