"""Resume from the run's own checkpoints when torchrun restarts the command after it lost a worker.

``run.resume`` "never" or a path says where a command starts, not where it resumes after a restart. Therefore the first
start leaves a mark in the run's folder. A restart of the same command resumes if there is a checkpoint newer than the
mark.
"""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from lib.config.schema import RunConfig
from lib.runtime.placement import under_torchrun

_MARK = ".started"


class _Start(msgspec.Struct, frozen=True):
    """Distinguishes a start from that of another command, and from a later start of the same command."""

    command: list[str]
    run_id: str
    """torchrun's id of the run; often the same for every run"""
    launcher: str
    """the process of torchrun, which survives restarts"""


def resume_after_restart(run: RunConfig, environment: Mapping[str, str]) -> RunConfig:
    """Return ``run`` with resume "auto" if this is a restart with a checkpoint since the first start, else ``run``."""
    if run.resume == "auto" or not under_torchrun(environment):
        return run
    mark, latest = run.weights_dir / _MARK, run.weights_dir / "checkpoints" / "latest"
    try:
        first = msgspec.json.decode(mark.read_bytes(), type=_Start)
        has_checkpoint = latest.stat().st_mtime_ns > mark.stat().st_mtime_ns
    except (OSError, msgspec.MsgspecError):
        return run
    this = _this_start(environment)
    # torchrun counts restarts after the loss of one of its own workers, but not always after one of another machine.
    is_restart = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0 or this.launcher == first.launcher
    same_run = (this.command, this.run_id) == (first.command, first.run_id)
    return replace(run, resume="auto") if is_restart and same_run and has_checkpoint else run


def mark_start(run: RunConfig, environment: Mapping[str, str]) -> None:
    """Mark the first start of this command. Called before it writes checkpoints, but not when it resumes from them."""
    if run.resume != "auto" and under_torchrun(environment):
        (run.weights_dir / _MARK).write_bytes(msgspec.json.encode(_this_start(environment)))


def _this_start(environment: Mapping[str, str]) -> _Start:
    return _Start([str(Path.cwd()), *sys.argv], environment["TORCHELASTIC_RUN_ID"], _parent())


def _parent() -> str:
    """Return the host, process id and start time of the parent process. Ids are reused, so the id is not enough."""
    parent = os.getppid()
    start_time = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()} {parent} {start_time}"
