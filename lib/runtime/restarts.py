"""Resume a run when torchrun restarts it, or when SLURM starts its job again.

torchrun restarts the command after it lost a worker, SLURM after it lost a machine, and when the job was preempted or
requeued. ``run.resume`` "never" or a path says where a command starts, not where it resumes after a restart. Therefore
the first start leaves a mark in the run's folder, and a restart of the same command resumes if there is a checkpoint
newer than the mark.
"""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from ..config.schema import RunConfig
from .torchrun import is_under_torchrun

_MARK = ".started"


class _Start(msgspec.Struct, frozen=True):
    """Distinguishes a start from that of another command, and from a later start of the same command."""

    command: list[str]
    run_id: str
    """torchrun's id of the run; often the same for every run, empty without torchrun"""
    launcher: str
    """the parent process: that of torchrun survives restarts"""
    job: str = ""
    """SLURM's id of the job, which a requeued job keeps; empty without SLURM"""


def resume_after_restart(run: RunConfig, environment: Mapping[str, str]) -> RunConfig:
    """Return ``run`` with resume "auto" if this is a restart with a checkpoint since the first start, else ``run``."""
    if run.resume == "auto" or not _may_be_restarted(environment):
        return run
    mark, latest = run.weights_dir / _MARK, run.weights_dir / "checkpoints" / "latest"
    try:
        first = msgspec.json.decode(mark.read_bytes(), type=_Start)
        has_checkpoint = latest.stat().st_mtime_ns > mark.stat().st_mtime_ns
    except (OSError, msgspec.MsgspecError):
        return run
    this = _this_start(environment)
    is_restart = _by_torchrun(first, this, environment) or _by_slurm(first, this, environment)
    return replace(run, resume="auto") if has_checkpoint and this.command == first.command and is_restart else run


def mark_start(run: RunConfig, environment: Mapping[str, str]) -> None:
    """Mark the first start of this command. Called before it writes checkpoints, but not when it resumes from them."""
    if run.resume != "auto" and _may_be_restarted(environment):
        (run.weights_dir / _MARK).write_bytes(msgspec.json.encode(_this_start(environment)))


def _by_torchrun(first: _Start, this: _Start, environment: Mapping[str, str]) -> bool:
    # torchrun counts restarts after the loss of one of its own workers, but not always after one of another machine.
    restarted = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0 or this.launcher == first.launcher
    return is_under_torchrun(environment) and this.run_id == first.run_id and restarted


def _by_slurm(first: _Start, this: _Start, environment: Mapping[str, str]) -> bool:
    """Return whether this job began before: SLURM counts its restarts. In its first run a command may be repeated."""
    return int(environment.get("SLURM_RESTART_COUNT", 0)) > 0 and this.job == first.job


def _this_start(environment: Mapping[str, str]) -> _Start:
    return _Start(
        command=[str(Path.cwd()), *sys.argv],
        run_id=environment.get("TORCHELASTIC_RUN_ID", ""),
        launcher=_parent(),
        job=environment.get("SLURM_JOB_ID", ""),
    )


def _parent() -> str:
    """Return the host, process id and start time of the parent process. Ids are reused, so the id is not enough."""
    parent = os.getppid()
    start_time = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()} {parent} {start_time}"


def _may_be_restarted(environment: Mapping[str, str]) -> bool:
    return is_under_torchrun(environment) or "SLURM_JOB_ID" in environment
