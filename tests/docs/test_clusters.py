"""The scripts of docs/clusters run, with stand-ins for SLURM's commands, and the manifest names options that exist."""

import contextlib
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lib.commands import train
from tests.support.data_sets import write_data_set
from tests.support.scripts import ROOT

CLUSTERS = ROOT / "docs/clusters"
SCRIPTS = sorted(CLUSTERS.glob("*.sh"))
# srun starts the command and passes USR1 on; scontrol knows one host and notes the jobs that it is to requeue.
STAND_INS = {
    "srun": """
        echo $$ > srun.pid; "$@" & task=$!; trap 'kill -USR1 $task' USR1
        wait $task; status=$?; while kill -0 $task 2> /dev/null; do wait $task; status=$?; done; exit $status""",
    "scontrol": """if [ "$1" = show ]; then echo 127.0.0.1; else echo "$*" >> requeued; fi""",
}
JOB = {"SLURM_JOB_NODELIST": "n[1]", "SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "1", "SLURM_CPUS_PER_TASK": "1"}
OPTIONS = "--model.name tiny --devices [cpu] --batch_size 8 --run.n_epochs 40 --run.resume never"
QUIET = "--logging.report false --logging.tensorboard false --exchange.method none"


def tools(folder: Path) -> str:
    """Write the stand-ins; return a PATH on which they come first, and then this Python and its torchrun."""
    folder.mkdir()
    for name, text in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"


def free_job_id() -> str:
    """Return the number of a job whose port, 20000 and this number, no other process listens on."""
    for number in random.SystemRandom().sample(range(10_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", 20_000 + number))
            return str(number)
    raise AssertionError("no port is free")


def start(script: Path, folder: Path, path: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a batch script as sbatch would, in a folder with the program."""
    words = [*shlex.split(f"{OPTIONS} {QUIET}"), "--data.dir", "data"]
    for name in ("lib", "train.py", "config.yaml", "spec_1gpu.yaml", "spec_4gpu.yaml"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            ["bash", str(script), *words],
            cwd=folder,
            env=os.environ | {"PATH": path} | JOB | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def train_until_warned(script: Path, folder: Path, path: str) -> str:
    """Start a job and warn it after its first epoch. Check that it stops and is requeued; return its number."""
    number = free_job_id()
    job = start(script, folder, path, {"SLURM_JOB_ID": number})
    deadline = time.monotonic() + 90
    while not (folder / "models/checkpoints/latest").exists():
        assert job.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    to_script = "--signal=B:USR1" in script.read_text()
    os.kill(job.pid if to_script else int((folder / "srun.pid").read_text()), signal.SIGUSR1)
    assert job.wait(90), "a job that was stopped has not finished"
    assert "stopped after saving" in (folder / "log").read_text()
    assert (folder / "requeued").read_text() == f"requeue {number}\n"
    return number


def test_a_requeued_job_continues_whatever_run_resume_says(tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", train=320)
    script, path = CLUSTERS / "one_machine.sh", tools(tmp_path / "tools")
    number = train_until_warned(script, tmp_path, path)
    assert start(script, tmp_path, path, {"SLURM_JOB_ID": number, "SLURM_RESTART_COUNT": "1"}).wait(90) == 0
    log = (tmp_path / "log").read_text()
    assert re.search(r"resumed: .* [1-9]\d* epochs? and", log), log
    assert "epoch 40" in log
    assert (tmp_path / "requeued").read_text() == f"requeue {number}\n", "a job that has finished is not requeued"


def test_a_warning_reaches_the_workers_of_torchrun(tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", train=320)
    train_until_warned(CLUSTERS / "several_machines.sh", tmp_path, tools(tmp_path / "tools"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_options_of_sbatch_come_before_the_first_command(script: Path) -> None:
    """SLURM reads them only up to there."""
    head = script.read_text().partition("\nset ")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    options = {line.removeprefix("#SBATCH --").partition("=")[0] for line in head if line.startswith("#SBATCH")}
    assert {"requeue", "signal", "time", "open-mode", "gpus-per-node", "cpus-per-task"} <= options


def test_the_manifest_starts_the_program_with_options_that_exist() -> None:
    service, job = yaml.safe_load_all((CLUSTERS / "kubernetes.yaml").read_text())
    spec: dict[str, Any] = job["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    words: list[str] = container["args"]
    script = words.index("train.py")
    launcher = dict(word.removeprefix("--").split("=") for word in words[:script])
    assert launcher["nnodes"] == str(spec["completions"]) == str(spec["parallelism"])
    assert launcher["nproc-per-node"] == str(container["resources"]["limits"]["nvidia.com/gpu"])
    host = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert launcher["rdzv-endpoint"].partition(":")[0] == host
    assert pod["subdomain"] == service["metadata"]["name"]
    config, _ = train.parse(words[script + 1 :], "", ROOT / "spec_1gpu.yaml")
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert str(config.data.dir) in mounts
    assert str(config.run.weights_dir.parent) in mounts
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
