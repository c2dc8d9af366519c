"""Whole runs on GPUs, with two workers on one or two devices."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.data_sets import write_data_set
from tests.support.runs import assert_same_bits
from tests.support.scripts import ROOT, Script

N_GPUS = torch.cuda.device_count()
OPTIONS = ("--model.name", "tiny", "--batch_size", 8, "--run.n_epochs", 4, "--logging.print_freq", 2)
DETERMINISTIC = (*OPTIONS, "--compute.deterministic", "true")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Check that neither torch nor the driver leaves anything in /dev/shm, however a run ends."""
    before = shared_memory()
    yield
    deadline = time.monotonic() + 10
    while shared_memory() - before and time.monotonic() < deadline:
        time.sleep(0.1)  # another test that runs now may have lost a trainer, whose memory its supervisor removes
    assert shared_memory() <= before


def shared_memory() -> set[Path]:
    """Return shared memory of processes that have ended."""
    of_torch = {path: int(path.name.split("_")[1]) for path in Path("/dev/shm").glob("torch_*")}
    of_driver = {path: int(path.name.split(".")[3], 16) for path in Path("/dev/shm").glob("cuda.shm.*")}
    return {path for path, pid in (of_torch | of_driver).items() if not Path(f"/proc/{pid}").exists()}


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_two_workers_train_on_gpus(data_set: Path, run_script: Script, precision: str) -> None:
    done = run_script("train_2gpu.py", *OPTIONS, "--compute.precision", precision)
    assert done.returncode == 0, done.stderr
    assert "cuda:0" in done.stdout
    assert ("cuda:1" in done.stdout) == (N_GPUS > 1)
    assert "Producer process" not in done.stderr, done.stderr  # torch warns so when an owner ends before a user


ANY_PORT = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
FLOAT32 = ("--batch_size", 8, "--run.n_epochs", 2, "--compute.precision", "fp32", "--optimizer.learning_rate", 1e-3)


def parameters_after(run_script: Script, folder: Path, name: str, *options: str) -> dict[str, torch.Tensor]:
    """Train AlexNet for two epochs of full batches in float32 on two workers, and return its parameters."""
    done = run_script("train_2gpu.py", *FLOAT32, *options, "--run.weights_dir", name)
    assert done.returncode == 0, done.stderr
    return saved_parameters(folder / name)


def saved_parameters(folder: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(folder / "checkpoints/epoch002_iter00000.pt", weights_only=True)[
        "parameters"
    ]
    return saved


@pytest.mark.skipif(N_GPUS < 2, reason="NCCL wants a GPU for each process")
@pytest.mark.parametrize("what", ["weights", "gradients"])
def test_collective_and_hierarchical_agree_with_peer(tmp_path: Path, run_script: Script, what: str) -> None:
    write_data_set(tmp_path / "data", img_size=96)
    model = ("--model.name", "tiny_without_dropout", "--exchange.what", what)
    peer = parameters_after(run_script, tmp_path, "peer", *model)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *ANY_PORT]
    for method in ("collective", "hierarchical"):
        words = [*FLOAT32, *model, "--exchange.method", method, "--run.weights_dir", method]
        command = [*torchrun, str(ROOT / "train.py"), *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        for key, value in saved_parameters(tmp_path / method).items():
            torch.testing.assert_close(value, peer[key], rtol=1e-3, atol=1e-5, msg=f"{method} {key}")


def test_fused_and_compiled_trainings_agree_with_the_plain_one(tmp_path: Path, run_script: Script) -> None:
    """Kernels and graph agree with PyTorch's layers, with dropout, for each kind of averaging and meeting."""
    write_data_set(tmp_path / "data", img_size=96)
    plain = parameters_after(run_script, tmp_path, "plain", "--compute.fused", "false", "--exchange.meet", "host")
    for name, options in {
        "weights": (),
        "gradients": ("--exchange.what", "gradients"),
        "host": ("--exchange.meet", "host"),
        "unfused": ("--compute.fused", "false"),
    }.items():
        for key, value in parameters_after(run_script, tmp_path, name, *options).items():
            difference = (value - plain[key]).norm() / plain[key].norm()
            assert difference < 2e-4, (name, key, difference)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("compiled", ["never", "always"])
@pytest.mark.parametrize("model", ["alexnet", "tiny"])
def test_every_precision_trains_compiled_or_not(
    tmp_path: Path, run_script: Script, precision: str, compiled: str, model: str
) -> None:
    """PyTorch's layers, compiled or not; the tests above cover the kernels."""
    write_data_set(tmp_path / "data", img_size=96)
    options = ("--model.name", model, "--batch_size", 8, "--run.n_epochs", 1, "--run.limit_batches", 2)
    compute = ("--compute.precision", precision, "--compute.compile", compiled, "--compute.fused", "false")
    done = run_script("train.py", *options, *compute, timeout_s=240)
    assert done.returncode == 0, done.stderr


def test_frozen_parameters_are_equal_on_all_workers_and_stay(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    assert run_script("train.py", *OPTIONS, "--run.weights_dir", "first").returncode == 0
    given = tmp_path / "first/checkpoints/epoch004_iter00000.pt"
    frozen = ("--model.weights", given, "--model.freeze", "[features]")
    done = run_script("train_2gpu.py", *OPTIONS, *frozen)  # compares the replicas bit for bit
    assert done.returncode == 0, done.stderr
    before, after = (
        torch.load(path, weights_only=True)["parameters"]
        for path in (given, tmp_path / "models/checkpoints/epoch004_iter00000.pt")
    )
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith("features"), name


def test_a_gpu_trains_as_a_cpu_does(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    for name, devices in (("gpu", "[auto, auto]"), ("cpu", "[cpu, cpu]")):
        options = ("--model.name", "tiny_without_dropout", "--compute.precision", "fp32", "--devices", devices)
        done = run_script("train_2gpu.py", *DETERMINISTIC, *options, "--run.weights_dir", name)
        assert done.returncode == 0, done.stderr
    states = [
        torch.load(tmp_path / name / "checkpoints/epoch004_iter00000.pt", weights_only=True)["parameters"]
        for name in ("gpu", "cpu")
    ]
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("model", ["tiny", "alexnet", "resnet18"])
def test_resumed_equals_uninterrupted_when_deterministic(tmp_path: Path, run_script: Script, model: str) -> None:
    write_data_set(tmp_path / "data", img_size=96)
    options = (*DETERMINISTIC, "--model.name", model)
    whole = run_script("train_2gpu.py", *options, "--run.weights_dir", "whole")
    assert whole.returncode == 0, whole.stderr
    command = [sys.executable, str(ROOT / "train_2gpu.py"), *map(str, options)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "models/metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 4):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert run_script("train_2gpu.py", *options).returncode == 0
    assert_same_bits(tmp_path / "models", tmp_path / "whole")


def test_a_killed_trainer_ends_the_run(tmp_path: Path, data_set: Path) -> None:
    options = (*OPTIONS, "--run.n_epochs", 100000, "--run.snapshot_freq", 1000)
    command = [sys.executable, str(ROOT / "train_2gpu.py"), *map(str, options)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "models/metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    subprocess.run(["pkill", "-KILL", "-P", str(process.pid), "-f", "lib.roles.trainer .* 1$"], check=True)
    _, stderr = process.communicate(timeout=20)
    assert "trainer 1 was killed by SIGKILL" in stderr


def test_validate_repeats_the_figures_of_the_run_on_a_gpu(tmp_path: Path, run_script: Script) -> None:
    """In the run each image has its own crop; here all images of a pass have the same one."""
    write_data_set(tmp_path / "data", img_size=96)
    options = ("--batch_size", 8, "--compute.precision", "fp32")
    assert run_script("train.py", *options, "--run.n_epochs", 1).returncode == 0
    of_run = json.loads((tmp_path / "models/metrics.jsonl").read_text().splitlines()[-1])
    assert of_run["kind"] == "val"
    again = figures(run_script, tmp_path / "one", *options)
    assert again["top1_error"] == of_run["top1_error"]
    assert again["loss"] == pytest.approx(of_run["loss"], rel=1e-5)
    ten = (*options, "--crops", 10)
    there, here = (figures(run_script, tmp_path / name, *ten, "--devices", f"[{name}]") for name in ("auto", "cpu"))
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-4)


def figures(run_script: Script, out: Path, *options: object) -> dict[str, float]:
    """Return the metrics that validate.py prints."""
    done = run_script("validate.py", *options, "--out", out)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads((out / "figures.json").read_text())
    return found
