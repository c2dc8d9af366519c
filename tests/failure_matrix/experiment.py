"""Disturb a real run as a cell describes, and check how it ends and what it leaves."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.failure_matrix.cells import PATIENCE_S, Cell, expected
from tests.support.data_files import WRITERS
from tests.support.data_sets import write_data_set
from tests.support.scripts import command

EPOCHS = 6
RUN = (
    *("--model.name", "tiny", "--run.n_epochs", EPOCHS),
    *("--run.snapshot_freq", 1, "--logging.print_freq", 1, "--run.patience_s", PATIENCE_S),
)
FAULTS = Path(__file__).with_name("faults")
# Longer than any moment takes to be reached on a busy machine.
_REACHED_S = 120.0
# How long the supervisor is stopped: longer than any other role may be.
_STOPPED_S = 4.0
_RUN_S = 240.0
_PASSED_ON_S = 0.5
_SYNTHETIC = ("--data.synthetic.train", 24, "--data.synthetic.val", 8, "--data.synthetic.classes", 4)


@dataclass(frozen=True)
class Result:
    """The result of one cell. ``wrong`` describes the fault found, and is empty if the cell passed."""

    cell: Cell
    status: int
    seconds: float
    """from the fault to the end of the run"""
    wrong: str


class Bench:
    """A folder with data sets for runs that are disturbed, and the devices of their workers, as a YAML list.

    All workers together take 16 images in an iteration, so that runs with several numbers of workers are alike.
    """

    def __init__(self, folder: Path, devices: str = "[cpu, cpu]") -> None:
        self._folder, self._devices = folder, devices
        self._batch_size = 16 // len(devices.split(","))
        self._undisturbed: dict[str, Path] = {}
        write_data_set(folder / "hickle")

    def try_out(self, cell: Cell, *, resume: bool = True) -> Result:
        """Disturb a new run as the cell describes; with ``resume``, start it again and compare its end."""
        place = self._folder / re.sub(r"\W", "_", cell.name)
        run = _Run(place, self._words(place, cell.source), cell)
        try:
            wrong = run.disturb() or run.judge()
        finally:
            run.kill()
        if not wrong and resume:
            wrong = self._resumed(place, cell.source)
        return Result(cell, run.status, run.seconds, wrong)

    def _resumed(self, place: Path, source: str) -> str:
        """Start the run again and return what is wrong with it."""
        try:
            self._run_to_end(place, source)
        except subprocess.CalledProcessError as error:
            return f"it cannot be resumed: {error.stderr}"
        return compare(place / "models", self._undisturbed_run(source))

    def _undisturbed_run(self, source: str) -> Path:
        """Return the folder of a run without a fault, which is trained the first time."""
        if source not in self._undisturbed:
            self._undisturbed[source] = self._folder / f"undisturbed_{source}"
            self._run_to_end(self._undisturbed[source], source)
        return self._undisturbed[source] / "models"

    def _run_to_end(self, place: Path, source: str) -> None:
        place.mkdir(exist_ok=True)
        subprocess.run(
            self._words(place, source),
            cwd=place,
            env=_environment({}),
            check=True,
            capture_output=True,
            timeout=_RUN_S,
            text=True,
        )

    def _words(self, place: Path, source: str) -> list[str]:
        data = self._folder / ("hickle" if source == "split" else source)
        if source in WRITERS and not data.exists():
            WRITERS[source](data)
        size = self._batch_size
        of_source: tuple[object, ...] = ("--data.dir", data, "--run.weights_dir", place / "models")
        if source == "split":
            of_source += ("--model.parallel", "classifier")
        elif source != "hickle":
            size //= 2  # half the images: as many iterations
            of_source += ("--data.source", source, "--data.img_size", 32, *_SYNTHETIC)
        if "cpu" not in self._devices:
            of_source += ("--compute.deterministic", "true")
        return command("train_2gpu.py", *RUN, "--devices", self._devices, "--batch_size", size, *of_source)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"} | dict(more)


class _Run:
    """A run that is disturbed as one cell describes."""

    def __init__(self, place: Path, words: list[str], cell: Cell) -> None:
        self._cell, self._place = cell, place
        self._notes, self._temporary = place / "notes", place / "t"
        for folder in (self._notes, self._temporary):
            folder.mkdir(parents=True)
        self._stderr = (place / "stderr").open("w+")
        fault = {"FAULT": cell.name, "FAULT_DIR": str(self._notes), "PYTHONPATH": str(FAULTS)}
        self._process = subprocess.Popen(
            words,
            cwd=place,
            env=_environment(fault | {"TMPDIR": str(self._temporary)}),
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,  # and so a process group
        )
        self._pids: dict[str, int] = {}
        self._start_s = time.monotonic()
        self.status, self.seconds = 0, 0.0

    def disturb(self) -> str:
        """Disturb the run, wait for its end, and return what went wrong with that."""
        if self._cell.moment == "stopping":
            if not self._noted("training"):
                return "it never trained"
            self._process.send_signal(signal.SIGINT)
            time.sleep(0.7)  # until the supervisor has forwarded it, and a further signal is a second request
            (self._notes / "asked").touch()
        if not self._noted("reached"):
            return f"it was never {self._cell.moment}"
        self._pids = self._find()
        self._start_s = time.monotonic()
        self._signal()
        try:
            self.status = self._process.wait(expected(self._cell).within_s + 60)
        except subprocess.TimeoutExpired:
            return "it hangs"
        self.seconds = time.monotonic() - self._start_s
        return ""

    def judge(self) -> str:
        """Return what is wrong with the end of the run or with what it left."""
        end = expected(self._cell)
        self._stderr.seek(0)
        stderr = self._stderr.read()
        if self.status != end.status:
            return f"status {self.status} where it should be {end.status}: {stderr}"
        if not re.fullmatch(end.stderr, stderr):
            return f"unexpected stderr {stderr!r}"
        if self.seconds > end.within_s:
            return f"it took {self.seconds:.1f} s to end"
        return self._left()

    def kill(self) -> None:
        """Kill every process of the run that is left."""
        for pid in self._find().values():
            os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._stderr.close()

    def _signal(self) -> None:
        if self._cell.role == "group":
            name, *twice = self._cell.fault.split()
            for _ in range(1 + len(twice)):
                os.killpg(self._process.pid, signal.Signals[name])
                time.sleep(0.001)  # equal signals that wait are delivered once
            # The supervisor passes them on. Until then a paused save stays paused: the short run might be over.
            deadline = time.monotonic() + _PASSED_ON_S
            while time.monotonic() < deadline and self._process.poll() is None:
                time.sleep(0.05)
        elif self._cell.fault.startswith("SIG"):
            pid = self._process.pid if self._cell.role == "supervisor" else self._pids[self._cell.role]
            os.kill(pid, signal.Signals[self._cell.fault])
            if (self._cell.role, self._cell.fault) == ("supervisor", "SIGSTOP"):
                (self._notes / "go").touch()
                time.sleep(_STOPPED_S)
                os.kill(pid, signal.SIGCONT)
        elif self._cell.role == "supervisor" or self._cell.moment == "saving":
            self._noted("failed")
        (self._notes / "go").touch()

    def _noted(self, note: str) -> bool:
        """Wait for a note from the run and return whether it came."""
        deadline = time.monotonic() + _REACHED_S
        while not (self._notes / note).exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _find(self) -> dict[str, int]:
        """Return the process ID of each role."""
        found = {}
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for pid in children:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if module := [word for word in words if word.startswith("lib.roles.")]:
                    found[f"{module[0].rpartition('.')[2]} {words[-2]}"] = int(pid)
        return found

    def _left(self) -> str:
        """Return what the run left behind: processes, sockets, shared memory or unfinished files."""
        deadline = time.monotonic() + 10
        while alive := [name for name, pid in self._pids.items() if Path(f"/proc/{pid}").exists()]:
            if time.monotonic() > deadline:
                return f"still there: {alive}"
            time.sleep(0.05)
        left = list(self._temporary.iterdir())
        left += [path for pid in self._pids.values() for path in Path("/dev/shm").glob(f"*{pid}*")]
        left += (self._place / "models").rglob("*.partial")
        return f"left behind: {left}" if left else ""


def compare(ours: Path, theirs: Path) -> str:
    """Return how the last checkpoints or the metrics of two runs differ, bit for bit."""
    name = f"checkpoints/epoch{EPOCHS:03d}_iter00000.pt"
    a, b = (torch.load(folder / name, weights_only=True) for folder in (ours, theirs))
    for part in ("parameters", "momentum"):
        for key, value in a[part].items():
            if value.numpy().tobytes() != b[part][key].numpy().tobytes():
                return f"{part} {key} differ from the undisturbed run's"
    records = [np.load(folder / "val_record.npy").tolist() for folder in (ours, theirs)]
    if records[0] != records[1] or _figures(ours) != _figures(theirs):
        return "its figures differ from the undisturbed run's"
    unfinished = list(ours.rglob("*.partial"))
    return f"left behind: {unfinished}" if unfinished else ""


def _figures(weights_dir: Path) -> list[tuple[object, ...]]:
    lines = map(json.loads, (weights_dir / "metrics.jsonl").read_text().splitlines())
    return [tuple(line[key] for key in ("kind", "epoch", "iteration", "loss", "images")) for line in lines]
