"""Any number of workers, on one or more machines and with any exchange, train alike."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from tests.support.data_sets import write_data_set
from tests.support.runs import final_tensors
from tests.support.scripts import ROOT, Script, command

T = TypeVar("T")
Machine = subprocess.Popen[bytes]
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))
OPTIONS = ("--model.name", "tiny_without_dropout", "--run.n_epochs", "4", "--logging.print_freq", "2")


def workers(count: int, total: int = 12) -> tuple[str, ...]:
    """Return the options for ``count`` workers with ``total`` images per iteration in all."""
    method = "peer" if count > 1 else "none"
    devices = f"[{', '.join(['cpu'] * count)}]"
    return ("--devices", devices, "--batch_size", str(total // count), "--exchange.method", method)


def torchrun(count: int, *options: str) -> list[str]:
    one_machine = ("--standalone", "--nproc-per-node", str(count))
    return [TORCHRUN, *one_machine, *command("train.py", *OPTIONS, "--exchange.method", "collective", *options)[1:]]


def train(folder: Path, *options: object) -> Path:
    words = command("train.py", *OPTIONS, *options, "--run.keep", 99)
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "models"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights_dir of a run of one worker, beside its data set, with every checkpoint."""
    folder = tmp_path_factory.mktemp("alone")
    write_data_set(folder / "data")
    return train(folder, *workers(1))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, alone: Path) -> Path:
    """Return the weights_dir of a run of two workers: four iterations per epoch, each with a checkpoint."""
    folder = tmp_path_factory.mktemp("two")
    return train(folder, *workers(2), "--data.dir", alone.parent / "data", "--run.snapshot_minutes", "1e-9")


@pytest.fixture
def data(alone: Path) -> tuple[str, str]:
    """Return the option with the data set of these runs."""
    return "--data.dir", str(alone.parent / "data")


def assert_trained_as(weights_dir: Path, alone: Path, epoch: int = 4) -> None:
    found = final_tensors(weights_dir, epoch)
    for name, value in final_tensors(alone, epoch).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)
    records = [np.load(folder / "val_record.npy")[:epoch] for folder in (alone, weights_dir)]
    np.testing.assert_allclose(records[0], records[1], rtol=1e-4)


def test_two_workers_train_as_one(alone: Path, two: Path) -> None:
    """Averaging weights and momentum of equal replicas equals averaging gradients, apart from dropout."""
    assert_trained_as(two, alone)


def test_three_workers_train_as_one(tmp_path: Path, alone: Path, data: tuple[str, str]) -> None:
    assert_trained_as(train(tmp_path, *workers(3), *data), alone)


def test_a_run_may_move_from_two_workers_to_one(tmp_path: Path, alone: Path, two: Path, data: tuple[str, str]) -> None:
    """``tests/roles/test_changing_world_size.py`` uses other numbers of workers."""
    first = ("--run.resume", two / "checkpoints/epoch001_iter00000.pt")
    assert_trained_as(train(tmp_path, *workers(1), *data, *first, "--run.n_epochs", 2), alone, epoch=2)


def test_within_an_epoch_the_total_batch_size_must_stay(two: Path, data: tuple[str, str], run_script: Script) -> None:
    """A checkpoint after an epoch can be resumed with any batch size."""
    within = two / "checkpoints/epoch000_iter00002.pt"
    done = run_script("train.py", *OPTIONS, *workers(2, total=16), *data, "--run.resume", within)
    assert done.returncode == 2, done.stderr
    assert "lies within an epoch of iterations of 12 images; here they have 16" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (command("train_2gpu.py", "--exchange.method", "collective"), "needs torchrun"),
        (
            [TORCHRUN, "--standalone", "--nproc-per-node", "2", str(ROOT / "train_2gpu.py")],
            "torchrun started 2 workers, but exchange.method is peer",
        ),
        (torchrun(2, "--devices", "[cpu, cpu, cpu]"), "devices names 3 devices, but torchrun started 2"),
    ],
    ids=["no launcher", "peer", "devices"],
)
def test_settings_that_contradict_the_launcher_are_refused(
    tmp_path: Path, data_set: Path, words: list[str], says: str
) -> None:
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert says in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_two_machines(cwd: Path, workers_each: int, words: list[str], max_restarts: int = 0) -> list[Machine]:
    """Start two launchers on loopback in place of two machines, with their output in files."""
    rendezvous = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "test")
    count = ("--nnodes", "2", "--nproc-per-node", str(workers_each), "--max-restarts", str(max_restarts))
    machines = []
    for number in range(2):
        with (cwd / f"machine{number}").open("w") as file:
            launcher = [TORCHRUN, *count, *rendezvous, *words]
            machines.append(subprocess.Popen(launcher, cwd=cwd, stdout=file, stderr=subprocess.STDOUT))
    return machines


def finish(machines: list[Machine], cwd: Path, timeout_s: float = 120) -> list[str]:
    """Return the output of each launcher, and end it if it still runs."""
    deadline = time.monotonic() + timeout_s
    while any(machine.poll() is None for machine in machines) and time.monotonic() < deadline:
        time.sleep(0.05)
    for machine in machines:
        machine.terminate()  # so that it also ends its workers
        machine.wait(30)
    return [(cwd / f"machine{number}").read_text() for number in range(2)]


def test_two_machines_of_two_workers_train_as_one(tmp_path: Path, alone: Path, data: tuple[str, str]) -> None:
    """Workers share memory within a machine and use ``torch.distributed`` between machines."""
    options = ("--devices", "[cpu]", "--batch_size", "3", "--run.n_epochs", "1", *data)
    machines = start_two_machines(
        tmp_path, 2, command("train.py", *OPTIONS, "--exchange.method", "hierarchical", *options)[1:]
    )
    outputs = finish(machines, tmp_path)
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert any("exchange hierarchical" in text for text in outputs)
    assert_trained_as(tmp_path / "models", alone, epoch=1)


def test_two_machines_resume_by_themselves_when_a_worker_is_killed(tmp_path: Path, run_script: Script) -> None:
    """Two launchers on loopback replace the machines. The run ends like an undisturbed one.

    The command says ``run.resume never``; the restart must resume nevertheless.
    """
    write_data_set(tmp_path / "data", train=320)
    options = ("--devices", "[cpu]", "--batch_size", "8", "--run.n_epochs", "12", "--run.resume", "never")
    assert run_script("train_2gpu.py", *OPTIONS, *workers(2, total=16), "--run.n_epochs", 12).returncode == 0
    (tmp_path / "models").rename(tmp_path / "undisturbed")
    words = command("train.py", *OPTIONS, "--exchange.method", "collective", *options)[1:]
    machines = start_two_machines(tmp_path, 1, words, max_restarts=3)
    killed = False
    try:
        wait_for((tmp_path / "models/checkpoints/latest").exists, machines)
        os.kill(trainer_1(tmp_path, machines), signal.SIGKILL)
        killed = True
    finally:
        outputs = finish(machines, tmp_path, 120 if killed else 0)
        assert killed, outputs
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert any("trainer 1 was killed by SIGKILL" in text for text in outputs)
    assert any(re.search(r"resumed: .* epochs? and 0 iterations done", text) for text in outputs)
    assert_epoch_12_same(tmp_path)


def wait_for(holds: Callable[[], T | None], machines: list[Machine]) -> T:
    """Wait until ``holds`` returns something, and return it; the machines must run until then."""
    deadline = time.monotonic() + 90
    while not (found := holds()):
        assert time.monotonic() < deadline
        assert all(machine.poll() is None for machine in machines)
        time.sleep(0.01)
    return found


def trainer_1(cwd: Path, machines: list[Machine]) -> int:
    """Return the process ID of trainer 1 of the run in this folder, or None before it has started."""

    def find() -> int | None:
        found = subprocess.run(["pgrep", "-f", "lib.roles.trainer .* 1$"], capture_output=True, text=True, check=False)
        for pid in map(int, found.stdout.split()):
            with contextlib.suppress(OSError):  # of another run, which has just ended
                if Path(f"/proc/{pid}/cwd").readlink() == cwd:
                    return pid
        return None

    return wait_for(find, machines)


def assert_epoch_12_same(folder: Path) -> None:
    ours, theirs = final_tensors(folder / "models", 12), final_tensors(folder / "undisturbed", 12)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
