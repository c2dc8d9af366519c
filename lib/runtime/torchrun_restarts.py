"""PyTorch's launcher starts the same command again when a worker is lost, and that goes on with what it has saved.

``run.resume never``, or a checkpoint's path, says where a command begins, not where it goes back to whenever a worker
is lost. So the first start leaves a mark in the run's folder, and a later one of the same command looks for a
checkpoint that is newer.
"""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from lib.config.schema import Config

_MARK = ".started"


class _Start(msgspec.Struct, frozen=True):
    """What tells a start from one of another command, or of the same at another time."""

    command: list[str]
    launch: str
    """the launcher's name for the run; often the same for every run"""
    launcher: str
    """the launcher's process: it stays through restarts"""


def go_on_after_restart(config: Config, environment: Mapping[str, str]) -> Config:
    """``config``, with ``run.resume`` auto where this is a restart by torchrun and there is a checkpoint since the
    first start.
    """
    if config.run.resume == "auto" or not _launched(environment):
        return config
    mark, latest = config.run.weights_dir / _MARK, config.run.weights_dir / "checkpoints" / "latest"
    try:
        first = msgspec.json.decode(mark.read_bytes(), type=_Start)
        saved_since = latest.stat().st_mtime_ns > mark.stat().st_mtime_ns
    except (OSError, msgspec.MsgspecError):
        return config
    now = _this(environment)
    # A launcher counts the restarts for a worker of its own; where one of another machine was lost it may count none.
    again = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0 or now.launcher == first.launcher
    same = again and (now.command, now.launch) == (first.command, first.launch)
    return replace(config, run=replace(config.run, resume="auto")) if same and saved_since else config


def mark_start(config: Config, environment: Mapping[str, str]) -> None:
    """Mark where the checkpoints of this command begin. Called before there are any, and not again once there are."""
    if config.run.resume != "auto" and _launched(environment):
        (config.run.weights_dir / _MARK).write_bytes(msgspec.json.encode(_this(environment)))


def _launched(environment: Mapping[str, str]) -> bool:
    return "TORCHELASTIC_RUN_ID" in environment


def _this(environment: Mapping[str, str]) -> _Start:
    return _Start([str(Path.cwd()), *sys.argv], environment["TORCHELASTIC_RUN_ID"], _parent())


def _parent() -> str:
    """Our parent process, told from a later one of the same number by when it began."""
    parent = os.getppid()
    began = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()} {parent} {began}"
