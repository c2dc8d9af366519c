"""What every role's process has in common: how it is started, watched, and how it ends."""

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lib.config.schema import Config
from lib.data.dataset import DataSet
from lib.errors import PeerLost, UserError, error_text
from lib.evaluation.options import Evaluation
from lib.ipc.channel import Channel
from lib.ipc.supervisor_client import SupervisorClient
from lib.recording.log import open_log
from lib.system.disk import disk_trouble
from lib.system.parent_death import end_with_parent
from lib.system.terminal import print_stderr

# A waiting process is never alone: the supervisor ends it when the one it waits for dies or falls silent.
# This many times run.patience_s is the last resort, should all wait for each other.
_LAST_RESORT = 10
_BEGUN = "begun"


class RunSheet(msgspec.Struct, frozen=True):
    """What the supervisor leaves in the run's private folder for its processes to read."""

    config: Config
    data: DataSet
    supervisor: int
    """its process number"""
    command: str = ""
    """what the user typed, and where"""
    evaluation: Evaluation | None = None
    """what a validator is to do"""


def write_run_sheet(folder: Path, sheet: RunSheet) -> None:
    """Leave the sheet where every process of the run finds it."""
    (folder / "run.json").write_bytes(msgspec.json.encode(sheet, enc_hook=str))


def read_run_sheet(folder: Path) -> RunSheet:
    """Raises FileNotFoundError when the run is over and its folder gone."""
    text = (folder / "run.json").read_bytes()
    return msgspec.json.decode(text, type=RunSheet, dec_hook=lambda kind, value: kind(value))


def mark_started(folder: Path) -> None:
    """Leave word for ``has_started`` in the run's private folder."""
    (folder / _BEGUN).touch()


def has_started(folder: Path) -> bool:
    """Whether a trainer has taken possession of ``run.weights_dir``: what lies there is of this run."""
    return (folder / _BEGUN).exists()


@dataclass(frozen=True, slots=True)
class Context:
    """What a role is told: which it is, the configuration, and its line to the supervisor."""

    name: str
    rank: int
    folder: Path
    sheet: RunSheet
    client: SupervisorClient

    @property
    def config(self) -> Config:
        return self.sheet.config

    def heartbeat(self, doing: str, *, patience_s: float | None = None) -> None:
        """Tell the supervisor what this process does or waits for. Raises PeerLost when it is gone."""
        self.client.heartbeat(doing, patience_s=patience_s)
        if self.orphaned:
            raise PeerLost("the supervisor is gone")

    def channel(self, name: str, *, bind: bool, peer: str) -> Channel:
        """A line to another process; while we wait on it the supervisor hears that we are alive."""
        return Channel(
            self.folder / name,
            bind=bind,
            peer=peer,
            patience_s=self.last_resort_s,
            on_wait=self.heartbeat,
        )

    def warn(self, text: str) -> None:
        """Tell the user, and the log if it is this run's, of something that need not end the run."""
        print_stderr(f"{self.name}: {text}")
        if has_started(self.folder):
            open_log(self.config.run.weights_dir, self.name).warning("%s", text)

    @property
    def last_resort_s(self) -> float:
        """How long any wait for another process may last, should the supervisor not have ended it."""
        return _LAST_RESORT * self.config.run.patience_s

    @property
    def orphaned(self) -> bool:
        """Whether the supervisor is gone."""
        return os.getppid() != self.sheet.supervisor


def run_role(role: str, body: Callable[[Context], None]) -> int:
    """The whole life of a role's process, started as ``python -m lib.roles.ROLE FOLDER RANK``: its exit status."""
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    try:
        sheet = read_run_sheet(folder)
    except FileNotFoundError:  # the run is over, and others have tidied up, before we got so far
        return 1
    if not end_with_parent(sheet.supervisor):
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    name = f"{role} {rank}"
    client = SupervisorClient(folder / "supervisor", name, sheet.config.run.patience_s)
    context = Context(name, rank, folder, sheet, client)
    try:
        client.heartbeat("starting")
        body(context)
    except UserError as error:
        if sheet.config.logging.debug:
            traceback.print_exc()
        client.failed(str(error), "", consequence=False)
        return 2
    except BaseException as error:
        if trouble := disk_trouble(error):
            client.failed(f"{name} {trouble}, it goes on from the last checkpoint", "", consequence=False)
            return 2
        client.failed(error_text(error), traceback.format_exc(), consequence=isinstance(error, PeerLost))
        return 1
    finally:
        if context.orphaned:  # nobody else is left to tidy up
            shutil.rmtree(folder, ignore_errors=True)
    client.close()
    return 0
