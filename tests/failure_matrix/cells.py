"""The cells of the failure matrix, and how a run must end in each."""

import itertools
import signal
from dataclasses import dataclass

ROLES = ("trainer 0", "trainer 1", "loader 1", "supervisor")
MOMENTS = ("starting", "training", "validating", "saving", "stopping")
FAULTS = ("SIGKILL", "SIGSTOP", "exception", "out of memory", "SIGTERM", "silence")
GROUP_FAULTS = ("SIGINT", "SIGHUP twice", "SIGUSR1")
"""Signals to every process of the run at once, as terminals and batch systems send them."""
SOURCES = ("jpeg_folder", "lmdb", "cifar10", "cifar100", "mnist", "synthetic")
"""Data sources of the cells of ``GROUP_FAULTS``, beside the one of all others."""
SPLIT = (
    ("trainer 0", "trainer 1"),
    ("training", "validating", "saving", "stopping"),
    ("SIGKILL", "SIGTERM", "silence"),
)
"""Cells with ``model.parallel`` classifier, whose source is called split."""
PATIENCE_S = 15
"""``run.patience_s`` of the runs"""
AGAIN = r"Start the same command again to continue from the last checkpoint\."
STOPPING = r"\nstopping after this iteration; interrupt again to stop at once\n"
STOPPED = rf"stopped after saving \S*models/checkpoints/\S+\.pt\. {AGAIN}\n"


@dataclass(frozen=True)
class Cell:
    """One fault of one role, or of the whole group, at one moment."""

    role: str
    moment: str
    fault: str
    source: str = "hickle"

    @property
    def name(self) -> str:
        return f"{self.role}/{self.moment}/{self.fault}" + (f"/{self.source}" if self.source != "hickle" else "")


@dataclass(frozen=True)
class Expected:
    """How a run must end: exit status, a pattern for all of stderr, and the seconds after the fault."""

    status: int
    stderr: str
    within_s: float = 10.0


def cells() -> list[Cell]:
    """Return every cell. Nothing watches the supervisor, so there is no cell for its silence."""
    every = itertools.starmap(Cell, itertools.product(ROLES, MOMENTS, FAULTS))
    of_roles = [cell for cell in every if (cell.role, cell.fault) != ("supervisor", "silence")]
    of_group = itertools.starmap(Cell, itertools.product(["group"], MOMENTS, GROUP_FAULTS))
    of_sources = itertools.starmap(Cell, itertools.product(["group"], ["training"], GROUP_FAULTS, SOURCES))
    of_split = itertools.starmap(Cell, itertools.product(*SPLIT, ["split"]))
    return [*of_roles, *of_group, *of_sources, *of_split]


def expected(cell: Cell) -> Expected:
    """Return how a run with this fault must end."""
    kinds = {"supervisor": _of_supervisor, "group": _of_group}
    end = kinds.get(cell.role, _of_role)(cell)
    return Expected(end.status, (STOPPING if cell.moment == "stopping" else "") + end.stderr, end.within_s)


def _of_role(cell: Cell) -> Expected:
    role, doing = cell.role, r"while [^;]+"
    match cell.fault:
        case "SIGKILL":
            why = rf"was killed by SIGKILL \(often the kernel, out of memory: see dmesg\) {doing}\."
            return Expected(1, rf"error: {role} {why} {AGAIN}\n")
        case "SIGSTOP":
            return Expected(1, rf"error: {role} was stopped \(SIGSTOP\) for 3 s {doing}; the run was ended\. {AGAIN}\n")
        case "exception":
            return Expected(1, rf"Traceback [\s\S]+error: {role} failed {doing}: injected\. {AGAIN}\n")
        case "out of memory":
            why = r"out of memory \(MemoryError\)"
            return Expected(1, rf"Traceback [\s\S]+error: {role} failed {doing}: {why}\. {AGAIN}\n")
        case "silence":
            why = rf"sent no heartbeat for {PATIENCE_S} s \(run\.patience_s\)"
            stderr = rf"error: {role} {why} {doing}; the run was ended\. {AGAIN}\n"
            return Expected(1, stderr, PATIENCE_S + 10)
    return _of_role_asked_to_stop(cell)


def _of_role_asked_to_stop(cell: Cell) -> Expected:
    """Return the end after SIGTERM: a trainer stops, and all others with it; a loader ignores it."""
    if cell.moment == "starting":
        return Expected(1, rf"error: {cell.role} was killed by SIGTERM while starting\. {AGAIN}\n")
    if cell.moment == "stopping":
        return Expected(130, STOPPED)
    if cell.role.startswith("loader"):
        return Expected(0, "", 60)
    why = "was asked to stop by SIGTERM, so all stopped, with a checkpoint"
    return Expected(143, rf"{cell.role} {why}\. {AGAIN}\n", 20)


def _of_supervisor(cell: Cell) -> Expected:
    match cell.fault:
        case "SIGKILL":
            return Expected(-9, r"[\s\S]*")
        case "SIGSTOP":  # then continued; the run carries on in between
            return Expected(130, STOPPED, 60) if cell.moment == "stopping" else Expected(0, "", 60)
        case "exception":
            return Expected(1, rf"Traceback [\s\S]+error: the supervisor failed: injected\. {AGAIN}\n")
        case "out of memory":
            why = r"out of memory \(MemoryError\)"
            return Expected(1, rf"Traceback [\s\S]+error: the supervisor failed: {why}\. {AGAIN}\n")
    match cell.moment:
        case "starting":
            return Expected(143, rf"{STOPPING}stopped before training began\n")
        case "stopping":
            return Expected(130, "stopped at once; the last checkpoint remains\n")
    return Expected(143, STOPPING + STOPPED, 20)


def _of_group(cell: Cell) -> Expected:
    """Return the end after a signal to all processes, of which only a second Ctrl-C stops them at once."""
    number = signal.Signals[cell.fault.split()[0]]
    if cell.moment == "starting":
        return Expected(128 + number, rf"{STOPPING}stopped before training began\n")
    if cell.moment != "stopping":
        return Expected(128 + number, STOPPING + STOPPED, 20)
    return Expected(130, "stopped at once; the last checkpoint remains\n" if number == signal.SIGINT else STOPPED, 20)
