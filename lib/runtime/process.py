"""What the processes of all roles have in common: how they start, report, and end."""

import gc
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..config.schema import Config
from ..data.cache_choice import Cache
from ..data.dataset import DataSet
from ..data.memory_cache import CachedSplit
from ..errors import PeerLost, UserError, error_text
from ..evaluation.options import Evaluation
from ..ipc.channel import Channel
from ..ipc.supervisor_client import SupervisorClient
from ..recording.log import open_log
from ..system.compiler_errors import compiler_error_text
from ..system.disk import disk_error_text
from ..system.parent_death import end_with_parent
from ..system.signals import ignore_group_signals
from ..system.terminal import prepare_streams, print_stderr
from ..types import Split

# The supervisor ends a waiting process when the process that it waits for dies or falls silent. Waits that end by
# themselves after this many times run.patience_s are the last resort, for processes that all wait for each other.
_TIMEOUT_FACTOR = 10
_STARTED = "started"


class RunSheet(msgspec.Struct, frozen=True):
    """What all processes of a run read at their start, from the run's private folder."""

    config: Config
    data: DataSet
    supervisor_pid: int
    command: str = ""
    """the command that the user typed, with its folder"""
    evaluation: Evaluation | None = None
    """options of the validators"""
    cached: dict[Split, CachedSplit] | None = None
    """the images of ``data.cache: memory``"""
    cache: Cache = "none"
    """where loaders keep decoded images"""


def write_run_sheet(folder: Path, sheet: RunSheet) -> None:
    """Write the sheet into the run's private folder, from which ``run_role`` reads it."""
    # Not with msgspec.json: it refuses names of files that are not UTF-8.
    (folder / "run.json").write_text(json.dumps(msgspec.to_builtins(sheet, enc_hook=str)), encoding="ascii")


def mark_started(folder: Path) -> None:
    """Record in the run's private folder that a trainer has claimed ``run.weights_dir``."""
    (folder / _STARTED).touch()


def has_started(folder: Path) -> bool:
    """Return whether a trainer has claimed ``run.weights_dir``, so that its files are those of this run."""
    return (folder / _STARTED).exists()


@dataclass(frozen=True, slots=True)
class Context:
    """What a role knows about its run: its rank, the configuration, and the connection to the supervisor."""

    name: str
    rank: int
    folder: Path
    sheet: RunSheet
    client: SupervisorClient

    @property
    def config(self) -> Config:
        return self.sheet.config

    def heartbeat(self, doing: str, *, patience_s: float | None = None) -> None:
        """Report to the supervisor what this process does or waits for. Raises PeerLost if the supervisor has ended."""
        self.client.heartbeat(doing, patience_s=patience_s)
        if self.orphaned:
            raise PeerLost("the supervisor has ended")

    def be_patient(self, doing: str) -> None:
        """Report to the supervisor that this process does something slow, such as compiling."""
        self.client.heartbeat(doing, patience_s=self.timeout_s)

    def channel(self, name: str, *, bind: bool, peer: str) -> Channel:
        """Return a channel to another process. While this process waits on it, it sends heartbeats."""
        return Channel(self.folder / name, bind=bind, peer=peer, patience_s=self.timeout_s, on_wait=self.heartbeat)

    def warn(self, text: str) -> None:
        """Print a warning, and log it once the log is that of this run."""
        print_stderr(f"{self.name}: {text}")
        if has_started(self.folder):
            open_log(self.config.run.weights_dir, self.name).warning("%s", text)

    @property
    def timeout_s(self) -> float:
        """Seconds after which a wait for another process ends by itself."""
        return _TIMEOUT_FACTOR * self.config.run.patience_s

    @property
    def orphaned(self) -> bool:
        """Whether the supervisor has ended."""
        return os.getppid() != self.sheet.supervisor_pid


def report_failure(context: Context, error: BaseException) -> int:
    """Report the error that ends this process to the supervisor. Return the exit status."""
    name, config = context.name, context.config
    text = str(error) if isinstance(error, UserError) else ""
    if trouble := disk_error_text(error):
        text = f"{name} {trouble}, training continues from the last checkpoint"
    elif trouble := compiler_error_text(error):
        fix = "train without it: --compute.compile never (--debug shows the traceback)"
        text = f"{name}: {trouble} on {config.model.name}; {fix}"
        if has_started(context.folder):
            open_log(config.run.weights_dir, name).error("%s", format_traceback(error))
    if not text:
        context.client.failed(error_text(error), format_traceback(error), consequence=isinstance(error, PeerLost))
        return 1
    if config.logging.debug:
        print_stderr(format_traceback(error))
    context.client.failed(text, "", consequence=False)
    return 2


def format_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` as Python prints it."""
    return "".join(traceback.format_exception(error))


def run_role(role: str, body: Callable[[Context], None]) -> int:
    """Run ``body`` as ``python -m lib.roles.ROLE FOLDER RANK``; report its error. Return the exit status."""
    prepare_streams()
    ignore_group_signals()
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    try:
        text = (folder / "run.json").read_bytes()
    except FileNotFoundError:  # the run ended, and its folder was removed, while this process started
        return 1
    sheet = msgspec.convert(json.loads(text), RunSheet, dec_hook=lambda kind, value: kind(value))
    if not end_with_parent(sheet.supervisor_pid):
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    name = f"{role} {rank}"
    client = SupervisorClient(folder / "supervisor", name, sheet.config.run.patience_s)
    context = Context(name, rank, folder, sheet, client)
    try:
        client.heartbeat("starting")
        body(context)
        gc.collect()  # memory lent through CUDA must be freed before the interpreter ends; hooks of autograd are cycles
    except BaseException as error:
        return report_failure(context, error)
    finally:
        if context.orphaned:  # no supervisor is left to remove the folder
            shutil.rmtree(folder, ignore_errors=True)
    client.close()
    return 0
