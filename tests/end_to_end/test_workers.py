"""Any number of workers, on one machine or several, by any exchange: the same training."""

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

from tests.conftest import ROOT, Script, command, write_data_set
from tests.end_to_end.test_training import final

T = TypeVar("T")
Machine = subprocess.Popen[bytes]
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))
OPTIONS = ("--model.name", "tiny_without_dropout", "--run.n_epochs", "4", "--logging.print_freq", "2")


def workers(count: int, total: int = 16) -> tuple[str, ...]:
    """Options for ``count`` workers that together take ``total`` images an iteration."""
    method = "peer" if count > 1 else "none"
    devices = f"[{', '.join(['cpu'] * count)}]"
    return ("--devices", devices, "--batch_size", str(total // count), "--exchange.method", method)


def torchrun(count: int, *options: str) -> list[str]:
    one_machine = ("--standalone", "--nproc-per-node", str(count))
    return [TORCHRUN, *one_machine, *command("train.py", *OPTIONS, "--exchange.method", "collective", *options)[1:]]


def test_three_workers_train_as_one(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    for folder, n in (("one", 1), ("many", 3)):
        done = run_script("train.py", *OPTIONS, *workers(n, total=24), "--run.weights_dir", folder)
        assert done.returncode == 0, done.stderr
    one, many = final(tmp_path / "one"), final(tmp_path / "many")
    for name, value in one.items():
        torch.testing.assert_close(many[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_run_may_move_from_two_workers_to_one(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    """``tests/roles/test_moving.py`` has more of them."""
    whole = run_script("train.py", *OPTIONS, *workers(1), "--run.n_epochs", 2, "--run.weights_dir", "one")
    assert whole.returncode == 0, whole.stderr
    for epoch, count in enumerate((2, 1), start=1):
        done = run_script("train.py", *OPTIONS, *workers(count), "--run.n_epochs", epoch)
        assert done.returncode == 0, done.stderr
    moved, stayed = final(tmp_path / "models", 2), final(tmp_path / "one", 2)
    for name, value in stayed.items():
        torch.testing.assert_close(moved[name], value, rtol=1e-4, atol=1e-6, msg=name)
    records = [np.load(tmp_path / folder / "val_record.npy") for folder in ("one", "models")]
    np.testing.assert_allclose(records[0], records[1], rtol=1e-4)


def test_within_an_epoch_the_total_batch_must_stay(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    """Three iterations an epoch, each followed by a checkpoint; the one after the epoch may go on with any batch."""
    keep = ("--run.snapshot_minutes", "1e-9", "--run.keep", "9", "--run.n_epochs", "1")
    done = run_script("train.py", *OPTIONS, *workers(2), *keep)
    assert done.returncode == 0, done.stderr
    within = tmp_path / "models/checkpoints/epoch000_iter00002.pt"
    done = run_script("train.py", *OPTIONS, *workers(2, total=12), "--run.resume", within)
    assert done.returncode == 2, done.stderr
    assert "lies within an epoch of iterations of 16 images; here they have 12" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (command("train_2gpu.py", "--exchange.method", "collective"), "needs PyTorch's launcher"),
        (
            [TORCHRUN, "--standalone", "--nproc-per-node", "2", str(ROOT / "train_2gpu.py")],
            "torchrun started 2 workers, but exchange.method is peer",
        ),
        (torchrun(2, "--devices", "[cpu, cpu, cpu]"), "devices names 3 devices, but torchrun started 2"),
    ],
    ids=["no launcher", "peer", "devices"],
)
def test_a_launcher_that_does_not_fit(tmp_path: Path, data_set: Path, words: list[str], says: str) -> None:
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert says in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_two_machines(cwd: Path, workers_each: int, words: list[str], max_restarts: int = 0) -> list[Machine]:
    """Two launchers on loopback stand in for them; what they say goes into files."""
    rendezvous = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "test")
    count = ("--nnodes", "2", "--nproc-per-node", str(workers_each), "--max-restarts", str(max_restarts))
    machines = []
    for number in range(2):
        with (cwd / f"machine{number}").open("w") as said:
            launcher = [TORCHRUN, *count, *rendezvous, *words]
            machines.append(subprocess.Popen(launcher, cwd=cwd, stdout=said, stderr=subprocess.STDOUT))
    return machines


def finish(machines: list[Machine], cwd: Path, timeout_s: float = 120) -> list[str]:
    """What each has said; none goes on after this."""
    deadline = time.monotonic() + timeout_s
    while any(machine.poll() is None for machine in machines) and time.monotonic() < deadline:
        time.sleep(0.05)
    for machine in machines:
        machine.terminate()  # so that it ends its workers, too
        machine.wait(30)
    return [(cwd / f"machine{number}").read_text() for number in range(2)]


def test_two_machines_of_two_workers_train_as_one(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    """Memory within a machine, ``torch.distributed`` between them."""
    epochs = ("--run.n_epochs", "1")
    assert run_script("train.py", *OPTIONS, *workers(1), *epochs, "--run.weights_dir", "one").returncode == 0
    options = ("--devices", "[cpu]", "--batch_size", "4", *epochs)
    machines = start_two_machines(
        tmp_path, 2, command("train.py", *OPTIONS, "--exchange.method", "hierarchical", *options)[1:]
    )
    said = finish(machines, tmp_path)
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert any("exchange hierarchical" in text for text in said)
    one, four = final(tmp_path / "one", 1), final(tmp_path / "models", 1)
    for name, value in one.items():
        torch.testing.assert_close(four[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_two_machines_go_on_by_themselves_when_a_worker_is_killed(tmp_path: Path, run_script: Script) -> None:
    """Two launchers on loopback stand in for the machines; the run must end as one that nothing disturbed.

    That it was to begin anew must not make it begin anew again.
    """
    write_data_set(tmp_path / "data", train=320)
    options = ("--devices", "[cpu]", "--batch_size", "8", "--run.n_epochs", "12", "--run.resume", "never")
    assert run_script("train_2gpu.py", *OPTIONS, *workers(2), "--run.n_epochs", 12).returncode == 0
    (tmp_path / "models").rename(tmp_path / "undisturbed")
    words = command("train.py", *OPTIONS, "--exchange.method", "collective", *options)[1:]
    machines = start_two_machines(tmp_path, 1, words, max_restarts=3)
    killed = False
    try:
        wait_for((tmp_path / "models/checkpoints/latest").exists, machines)
        os.kill(trainer_1(tmp_path, machines), signal.SIGKILL)
        killed = True
    finally:
        said = finish(machines, tmp_path, 120 if killed else 0)
        assert killed, said
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert any("trainer 1 was killed by SIGKILL" in text for text in said)
    assert any(re.search(r"resumed: .* epochs? and 0 iterations done", text) for text in said)
    assert_epoch_12_same(tmp_path)


def wait_for(holds: Callable[[], T | None], machines: list[Machine]) -> T:
    """What ``holds`` gives, once that is something; the machines must go on until then."""
    deadline = time.monotonic() + 90
    while not (found := holds()):
        assert time.monotonic() < deadline
        assert all(machine.poll() is None for machine in machines)
        time.sleep(0.01)
    return found


def trainer_1(cwd: Path, machines: list[Machine]) -> int:
    """The process of trainer 1 of the run in this folder; it may be about to start."""

    def find() -> int | None:
        found = subprocess.run(["pgrep", "-f", "lib.roles.trainer .* 1$"], capture_output=True, text=True, check=False)
        for pid in map(int, found.stdout.split()):
            with contextlib.suppress(OSError):  # another run's, which has just ended
                if Path(f"/proc/{pid}/cwd").readlink() == cwd:
                    return pid
        return None

    return wait_for(find, machines)


def assert_epoch_12_same(folder: Path) -> None:
    ours, theirs = final(folder / "models", 12), final(folder / "undisturbed", 12)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
