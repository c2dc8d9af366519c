"""Place the workers of a run, and resume it when torchrun restarts it. Without torchrun, this process starts them all.

    torchrun --nnodes 2 --nproc-per-node 8 train.py --exchange.method collective

starts this program once per worker, with the worker's rank in the environment. torchrun restarts the command after it
lost a worker. ``run.resume`` "never" or a path says where a command starts, not where it resumes after a restart.
Therefore the first start leaves a mark in the run's folder, and a restart of the same command resumes if there is a
checkpoint newer than the mark.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from ..config.schema import RunConfig
from ..errors import ConfigError

# Exchanges whose processes connect through the environment that torchrun sets.
_METHODS = ("collective", "hierarchical")
_MARK = ".started"


def count_workers(n_devices: int, environment: Mapping[str, str]) -> int:
    """Return the number of workers of the whole run. Without torchrun it is the number of devices.

    >>> count_workers(1, {}), count_workers(1, {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "16"})
    (1, 16)
    """
    return int(environment["WORLD_SIZE"]) if _under_torchrun(environment) else n_devices


def place_workers(
    devices: tuple[str, ...], exchange_method: str, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], Sequence[int]]:
    """Return the device of every worker of the run, by rank, and the ranks that this process starts.

    Under torchrun ``devices`` names the devices of this machine, one per worker or one for all (``auto``). Raises
    ConfigError if that does not fit what torchrun started.
    """
    if not _under_torchrun(environment):
        if exchange_method in _METHODS and len(devices) > 1:
            raise ConfigError(
                f"exchange.method {exchange_method} needs torchrun: torchrun --nproc-per-node {len(devices)} train.py "
                "...; on one machine exchange.method peer needs no torchrun"
            )
        return devices, range(len(devices))
    rank, world_size, local_world_size = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world_size > 1 and exchange_method not in _METHODS:
        raise ConfigError(
            f"torchrun started {world_size} workers, but exchange.method is {exchange_method}; "
            "set exchange.method to collective or hierarchical, or start train_2gpu.py without torchrun"
        )
    if len(devices) not in (1, local_world_size):
        raise ConfigError(
            f"devices names {len(devices)} devices, but torchrun started {local_world_size} workers on this machine; "
            "name one device per worker, or one for all, e.g. [auto]"
        )
    return tuple(devices[r % len(devices)] for r in range(world_size)), [rank]


class _Start(msgspec.Struct, frozen=True):
    """Distinguishes a start from that of another command, and from a later start of the same command."""

    command: list[str]
    run_id: str
    """torchrun's id of the run; often the same for every run"""
    launcher: str
    """the process of torchrun, which survives restarts"""


def resume_after_restart(run: RunConfig, environment: Mapping[str, str]) -> RunConfig:
    """Return ``run`` with resume "auto" if this is a restart with a checkpoint since the first start, else ``run``."""
    if run.resume == "auto" or not _under_torchrun(environment):
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
    if run.resume != "auto" and _under_torchrun(environment):
        (run.weights_dir / _MARK).write_bytes(msgspec.json.encode(_this_start(environment)))


def _this_start(environment: Mapping[str, str]) -> _Start:
    return _Start([str(Path.cwd()), *sys.argv], environment["TORCHELASTIC_RUN_ID"], _parent())


def _parent() -> str:
    """Return the host, process id and start time of the parent process. Ids are reused, so the id is not enough."""
    parent = os.getppid()
    start_time = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()} {parent} {start_time}"


def _under_torchrun(environment: Mapping[str, str]) -> bool:
    return "TORCHELASTIC_RUN_ID" in environment
