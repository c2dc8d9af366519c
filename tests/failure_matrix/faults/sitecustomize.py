"""Make a process of a run fail at a chosen moment. Every Python process of the run imports this module.

The environment variable ``FAULT`` is "ROLE/MOMENT/FAULT[/SOURCE]", with the names of ``tests.failure_matrix.cells``.
``FAULT_DIR`` is a folder for notes between the processes and the experiment. The process that knows the moment leaves
the note "reached". Then it fails itself, or waits until the experiment has left the note "go". Without ``FAULT``
nothing is changed.
"""

import importlib.abc
import importlib.machinery
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HOLD_S = 10.0
SILENT_S = 3600.0
# The epoch and iteration of the faults: after the first checkpoint, and well before the end.
DOINGS = {
    "starting": r"starting",
    "training": r"training iteration 2 of epoch 2|reading train batch 1 of epoch 2",
    "validating": r"validating after epoch 2|reading val batch 0 of epoch 2",
    "stopping": r"stopping",
}


def leader(role: str, moment: str) -> str:
    """Return the process that knows the moment: only worker 0 saves, and the supervisor does no work itself."""
    return "trainer 0" if role in ("supervisor", "group") or moment == "saving" else role


class Injected(Exception):
    """An exception that the program expects nowhere."""


class Fault:
    """The fault that the environment describes, in process ``me``."""

    def __init__(self, me: str, cell: str, notes: Path) -> None:
        self._role, self._moment, self._fault = cell.split("/")[:3]
        self._me, self._notes = me, notes
        self._leads = me == leader(self._role, self._moment)

    def doing(self, doing: str) -> None:
        """Note what this process is doing now."""
        if self._me == "trainer 0" and self._moment == "stopping" and re.fullmatch(DOINGS["training"], doing):
            self._hold("training", "asked")
        if self._leads and re.fullmatch(DOINGS.get(self._moment, "never"), doing):
            self._reached()
        self.look()

    def synced(self, path: str) -> None:
        """Note that this process is about to fsync a file."""
        if self._leads and self._moment == "saving" and "epoch002_" in path:
            self._reached()

    def look(self) -> None:
        """Fail if another process has reached the moment for this one."""
        if self._me == self._role and not self._leads and (self._notes / "reached").exists():
            self._fail()

    def _reached(self) -> None:
        if (self._notes / "reached").exists():
            return
        if self._me == self._role and not self._fault.startswith("SIG"):
            (self._notes / "reached").touch()
            self._fail()
        else:
            self._hold("reached", "go")

    def _hold(self, note: str, until: str) -> None:
        if (self._notes / note).exists():
            return
        (self._notes / note).touch()
        deadline = time.monotonic() + HOLD_S
        while not (self._notes / until).exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _fail(self) -> None:
        if self._fault.startswith("SIG") or (self._notes / "failed").exists():
            return
        (self._notes / "failed").touch()
        if self._fault == "exception":
            raise Injected("injected")
        if self._fault == "silence":
            time.sleep(SILENT_S)
        _use_up_memory()


def _use_up_memory() -> None:
    """Allocate memory until the kernel refuses."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    hoard = []
    try:
        while True:
            hoard.append(bytearray(8 << 20))
    finally:
        hoard.clear()  # otherwise the C library is the next to allocate, and it ends the process at once


class Patched(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the modules of ``patches`` normally, then calls their patch."""

    def __init__(self, patches: dict[str, Callable[[Any], None]]) -> None:
        self._patches = patches
        self._loader: Any = None

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name not in self._patches:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patches[module.__name__](module)


def install(fault: Fault) -> None:
    """Report what this process does to ``fault`` from now on."""

    def supervisor_client(module: Any) -> None:
        heartbeat = module.SupervisorClient.heartbeat

        def patched(self: Any, doing: str, **more: Any) -> None:
            heartbeat(self, doing, **more)
            fault.doing(doing)

        module.SupervisorClient.heartbeat = patched

    def supervisor(module: Any) -> None:
        read_messages = module.Supervisor._read_messages

        def patched(self: Any, inbox: Any) -> None:
            read_messages(self, inbox)
            fault.look()

        module.Supervisor._read_messages = patched

    def checkpoint(_: Any) -> None:
        fsync = os.fsync

        def patched(descriptor: int) -> None:
            fault.synced(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            fsync(descriptor)

        os.fsync = patched  # type: ignore[assignment]

    patches = {
        "lib.ipc.supervisor_client": supervisor_client,
        "lib.runtime.supervisor": supervisor,
        "lib.checkpoints.checkpoint": checkpoint,
    }
    sys.meta_path.insert(0, Patched(patches))


def _me() -> str:
    """Return the role of this process, or "" if it has none."""
    role = next((word.rpartition(".")[2] for word in sys.orig_argv if word.startswith("lib.roles.")), "")
    if role:
        return f"{role} {sys.orig_argv[-1]}"
    return "supervisor" if any(word.endswith("train_2gpu.py") for word in sys.orig_argv) else ""


if "FAULT" in os.environ and (ME := _me()):
    install(Fault(ME, os.environ["FAULT"], Path(os.environ["FAULT_DIR"])))
