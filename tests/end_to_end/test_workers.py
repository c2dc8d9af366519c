"""Any number of workers, on one machine or several, by any exchange: the same training."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ROOT, Script, command, write_data_set
from tests.end_to_end.test_training import assert_same_bits, final

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


def test_a_run_may_move_between_one_two_and_eight_workers(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    assert (
        run_script("train.py", *OPTIONS, *workers(1), "--run.n_epochs", 3, "--run.weights_dir", "one").returncode == 0
    )
    for epoch, count in enumerate((1, 8, 2), start=1):
        done = run_script("train.py", *OPTIONS, *workers(count), "--run.n_epochs", epoch)
        assert done.returncode == 0, done.stderr
    moved, stayed = final(tmp_path / "models", 3), final(tmp_path / "one", 3)
    for name, value in stayed.items():
        torch.testing.assert_close(moved[name], value, rtol=1e-4, atol=1e-6, msg=name)
    records = [np.load(tmp_path / folder / "val_record.npy") for folder in ("one", "models")]
    np.testing.assert_allclose(records[0], records[1], rtol=1e-4)


def test_within_an_epoch_the_total_batch_must_stay(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    words = command("train.py", *OPTIONS, *workers(2), "--run.n_epochs", 100000)
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "models/metrics.jsonl"
    while not (metrics.exists() and metrics.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    stopped = (tmp_path / "models/checkpoints/latest").read_text()
    if stopped.endswith("_iter00000.pt"):  # it was stopped just between two epochs, where any batch will do
        return
    done = run_script("train.py", *OPTIONS, *workers(2, total=12))
    assert done.returncode == 2
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


def test_collective_trains_as_peer_does(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    """Two summands have one sum, so here even the bits are the same."""
    assert run_script("train_2gpu.py", *OPTIONS, *workers(2), "--run.weights_dir", "peer").returncode == 0
    words = torchrun(2, "--devices", "[cpu]", "--batch_size", "8", "--run.weights_dir", "collective")
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "exchange collective" in done.stdout
    assert_same_bits(tmp_path / "collective", tmp_path / "peer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_two_machines_go_on_by_themselves_when_a_worker_is_killed(tmp_path: Path, run_script: Script) -> None:
    """Two launchers on loopback stand in for the machines; the run must end as one that nothing disturbed.

    That it was to begin anew must not make it begin anew again.
    """
    write_data_set(tmp_path / "data", train=320)
    options = ("--devices", "[cpu]", "--batch_size", "8", "--run.n_epochs", "12", "--run.resume", "never")
    assert run_script("train_2gpu.py", *OPTIONS, *workers(2), "--run.n_epochs", 12).returncode == 0
    (tmp_path / "models").rename(tmp_path / "undisturbed")
    rendezvous = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "test")
    launcher = [TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3", *rendezvous]
    words = [*launcher, *command("train.py", *OPTIONS, "--exchange.method", "collective", *options)[1:]]
    machines = [
        subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / "models/checkpoints/latest").exists():
            assert time.monotonic() < deadline
            assert all(machine.poll() is None for machine in machines), machines[0].communicate()
            time.sleep(0.01)
        os.kill(trainer_1(tmp_path), signal.SIGKILL)
        outputs = [machine.communicate(timeout=120)[0] for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()  # so that it ends its workers, too
    assert [machine.returncode for machine in machines] == [0, 0], outputs
    assert any("trainer 1 was killed by SIGKILL" in output for output in outputs)
    assert any(re.search(r"resumed: .* epochs and 0 iterations done", output) for output in outputs)
    assert_epoch_12_same(tmp_path)


def trainer_1(cwd: Path) -> int:
    """The process of trainer 1 of the run in this folder."""
    found = subprocess.run(["pgrep", "-f", "lib.roles.trainer .* 1$"], capture_output=True, text=True, check=True)
    return next(pid for pid in map(int, found.stdout.split()) if Path(f"/proc/{pid}/cwd").readlink() == cwd)


def assert_epoch_12_same(folder: Path) -> None:
    ours, theirs = final(folder / "models", 12), final(folder / "undisturbed", 12)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
