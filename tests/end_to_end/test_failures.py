"""A run in which a process dies, hangs or fails ends soon, names the process, and leaves nothing behind."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.scripts import TINY_RUN, Script, command

LONG_RUN = (
    *("--model.name", "tiny", "--batch_size", "8", "--devices", "[cpu, cpu]", "--run.n_epochs", "100000"),
    *("--logging.print_freq", "1", "--run.snapshot_freq", "1000"),
)


class Run:
    """A run in the background, with its own folder for temporary files."""

    def __init__(self, cwd: Path, *options: str) -> None:
        self.temporary = cwd / "t"
        self.temporary.mkdir()
        self._metrics = cwd / "models/metrics.jsonl"
        self.process = subprocess.Popen(
            command("train_2gpu.py", *LONG_RUN, *options),
            cwd=cwd,
            env=os.environ | {"TMPDIR": str(self.temporary)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_it_trains(self) -> None:
        deadline = time.monotonic() + 60
        while not (self._metrics.exists() and self._metrics.read_text().count("\n") >= 5):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def pids(self) -> dict[str, int]:
        """Return the process ID of each role."""
        found = {}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(OSError):  # it has not started yet, or has ended
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if module := [word for word in words if word.startswith("lib.roles.")]:
                    found[f"{module[0].rpartition('.')[2]} {words[-2]}"] = int(pid)
        return found

    def end(self, within_s: float) -> tuple[int, str]:
        """Wait for the end within ``within_s`` and return exit status and stderr."""
        start_s = time.monotonic()
        _, stderr = self.process.communicate(timeout=within_s + 20)
        assert time.monotonic() - start_s < within_s, stderr
        return self.process.returncode, stderr


@pytest.fixture
def start(tmp_path: Path, data_set: Path) -> Iterator[type[Run]]:
    runs: list[Run] = []

    def make(*options: str) -> Run:
        runs.append(Run(tmp_path, *options))
        return runs[-1]

    yield make  # type: ignore[misc]
    for run in runs:
        run.process.kill()
        run.process.communicate()


def assert_nothing_is_left(run: Run, pids: dict[str, int]) -> None:
    alive = [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]
    assert not alive
    assert not list(run.temporary.iterdir())  # no socket and no folder is left
    for pid in pids.values():
        assert not list(Path("/dev/shm").glob(f"*{pid}*"))


def test_a_second_signal_stops_a_run_at_once(start: Callable[..., Run]) -> None:
    run = start()
    run.wait_until_it_trains()
    pids = run.pids()
    os.kill(pids["trainer 1"], signal.SIGSTOP)  # so that it cannot stop cleanly
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.7)  # within half a second it is the same request
    run.process.send_signal(signal.SIGINT)
    status, stderr = run.end(within_s=10)
    assert status == 130
    assert "stopped at once; the last checkpoint remains" in stderr
    assert_nothing_is_left(run, pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_commands_that_save_nothing_stop_at_the_first_signal(start: Callable[..., Run], number: signal.Signals) -> None:
    run = start("--dry_run")
    while "dry_run 1" not in run.pids():
        assert run.process.poll() is None
        time.sleep(0.02)
    run.process.send_signal(number)
    assert run.end(within_s=10) == (128 + number, "stopped\n")


def test_a_loss_that_is_nan_or_infinite_stops_the_run(finished_run: Path, run_script: Script) -> None:
    """All workers roll back together once; the second time they stop."""
    rollback = ("--run.on_nan", "rollback", "--run.rollbacks", 1)
    done = run_script("train_2gpu.py", *TINY_RUN, "--run.n_epochs", 9, "--optimizer.learning_rate", "1e30", *rollback)
    assert done.returncode == 2
    assert re.fullmatch(
        r"warning: the loss became NaN or infinite at iteration \d+ of epoch 2; "
        r"going back to the last epoch's checkpoint, 1 of "
        r"at most 1 times \(run.rollbacks\)\n"
        r"error: the loss became NaN or infinite at iteration \d+ of epoch 2; the last good checkpoint is "
        r"models/checkpoints/epoch001_iter00000.pt; lower optimizer.learning_rate and start again\n",
        done.stderr,
    ), done.stderr
    checkpoints = sorted(path.name for path in (finished_run / "models/checkpoints").glob("*.pt"))
    assert checkpoints == ["epoch001_iter00000.pt"]


def test_a_full_disk_while_saving_keeps_the_previous_checkpoint(finished_run: Path, run_script: Script) -> None:
    folder = finished_run / "models/checkpoints"
    checkpoint = folder / "epoch001_iter00000.pt"
    before = checkpoint.read_bytes()
    # Every write to /dev/full fails like on a full disk. The checkpoint is first written under this name.
    (folder / ".epoch002_iter00000.pt.partial").symlink_to("/dev/full")
    done = run_script("train_2gpu.py", *TINY_RUN, "--run.n_epochs", 2)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(
        r"error: cannot save models/checkpoints/epoch002_iter00000.pt: .* free\); make room and start again: the "
        r"run resumes from the previous checkpoint\n",
        done.stderr,
    ), done.stderr
    assert checkpoint.read_bytes() == before
    assert (folder / "latest").read_text() == checkpoint.name
    assert sorted(path.name for path in folder.iterdir()) == ["best", checkpoint.name, "latest"]
    assert run_script("train_2gpu.py", *TINY_RUN, "--run.n_epochs", 2).returncode == 0
