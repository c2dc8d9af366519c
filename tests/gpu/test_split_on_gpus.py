"""A classifier that is split over GPUs trains as that of one GPU with the batch of all, however the GPUs meet."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.data_sets import write_data_set
from tests.support.scripts import ROOT, Script

N_GPUS = torch.cuda.device_count()
TOTAL = 24
OPTIONS = ("--run.n_epochs", 2, "--compute.precision", "fp32", "--optimizer.learning_rate", 1e-3)
SPLIT = ("--model.parallel", "classifier")
ANY_PORT = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", *ANY_PORT, "--nproc-per-node")


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    """Write a data set whose last batches are short."""
    write_data_set(tmp_path / "data", train=76, img_size=96)


def parameters(folder: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(folder / "checkpoints/epoch002_iter00000.pt", weights_only=True)[
        "parameters"
    ]
    return saved


def trained(run_script: Script, folder: Path, name: str, workers: int, *options: object) -> dict[str, torch.Tensor]:
    devices = ", ".join(f"cuda:{number % N_GPUS}" for number in range(workers))
    keys = ("--devices", f"[{devices}]", "--exchange.method", "peer" if workers > 1 else "none")
    words = (*OPTIONS, *SPLIT, *keys, "--batch_size", TOTAL // workers, "--run.weights_dir", name, *options)
    done = run_script("train.py", *words, timeout_s=240)
    assert done.returncode == 0, done.stderr
    return parameters(folder / name)


def assert_close(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], which: str, *, biases: float = 1e-3
) -> None:
    """``biases`` is how far they may be off: their gradients are long sums, here in another order."""
    for key, value in expected.items():
        difference = (found[key] - value).norm() / value.norm()
        assert difference < (biases if key.endswith("bias") else 2e-4), (which, key, difference)


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_workers_train_alexnet_as_one(tmp_path: Path, run_script: Script, workers: int) -> None:
    """With AlexNet's kernels, with PyTorch's layers in the captured step, and step by step."""
    if workers > max(2, N_GPUS):
        pytest.skip(f"there are {N_GPUS} GPUs")
    one = trained(run_script, tmp_path, "one", 1)
    for name, options in {
        "kernels": (),
        "gradients": ("--exchange.what", "gradients"),
        "layers": ("--compute.fused", "false", "--compute.compile", "never"),
        "compiled": ("--compute.fused", "false", "--compute.compile", "always"),
        "host": ("--exchange.meet", "host"),
    }.items():
        assert_close(trained(run_script, tmp_path, name, workers, *options), one, name)


@pytest.mark.parametrize("model", ["alexnet_owt", "vgg_a"])
def test_workers_train_other_networks_as_one(tmp_path: Path, run_script: Script, model: str) -> None:
    options = ("--model.name", model, "--compute.compile", "never")
    one = trained(run_script, tmp_path, "one", 1, *options)
    assert_close(trained(run_script, tmp_path, "two", 2, *options), one, model)


WAYS: dict[str, tuple[object, ...]] = {
    "kernels": (),
    "layers": ("--compute.fused", "false"),
    "host": ("--exchange.meet", "host"),
}
# A large eps hides the rounding of gradients that are zero.
CLIPPED = ("--optimizer.name", "adamw", "--optimizer.clip_norm", 0.5, "--optimizer.eps", 1e-2)


@pytest.mark.parametrize(
    ("optimizer", "ways"),
    [
        ((*CLIPPED, "--model.ema", 0.9), ["kernels", "layers", "host"]),
        (("--optimizer.name", "radam", "--optimizer.eps", 1e-2, "--optimizer.lookahead", 2), ["kernels"]),
        (("--optimizer.name", "lamb", "--optimizer.eps", 1e-2, "--optimizer.clip_norm", 0.5), ["kernels", "layers"]),
        (("--optimizer.name", "NAdam", "--optimizer.options", "eps=1e-2"), ["layers"]),
        (("--optimizer.clip_norm", 0.5, "--optimizer.accumulate", 2), ["layers"]),
    ],
    ids=["adamw, clipped, averaged", "radam, lookahead", "lamb, clipped", "NAdam", "sgd, clipped, accumulated"],
)
def test_workers_train_with_other_optimizers_as_one(
    tmp_path: Path, run_script: Script, optimizer: tuple[object, ...], ways: list[str]
) -> None:
    options = ("--compute.compile", "never", *optimizer)
    one = trained(run_script, tmp_path, "one", 1, *options)
    biases = (
        2e-2 if "lamb" in optimizer else 1e-3
    )  # LAMB's steps are in proportion: those that begin at 0 keep the first
    for name in ways:
        assert_close(trained(run_script, tmp_path, name, 2, *options, *WAYS[name]), one, name, biases=biases)


@pytest.mark.skipif(N_GPUS < 2, reason="NCCL wants a GPU for each process")
@pytest.mark.parametrize("optimizer", [(), CLIPPED], ids=["sgd", "adamw, clipped"])
def test_workers_under_torchrun_train_as_one(tmp_path: Path, run_script: Script, optimizer: tuple[object, ...]) -> None:
    one = trained(run_script, tmp_path, "one", 1, *optimizer)
    for method in ("collective", "hierarchical"):
        keys = ("--batch_size", TOTAL // 2, "--exchange.method", method, "--run.weights_dir", method)
        words = map(str, (*OPTIONS, *optimizer, *SPLIT, *keys))
        command = [*TORCHRUN, "2", str(ROOT / "train.py"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        assert_close(parameters(tmp_path / method), one, method)


def test_a_training_moves_between_numbers_of_gpus(tmp_path: Path, run_script: Script) -> None:
    one = trained(run_script, tmp_path, "one", 1)
    trained_once = ("--run.n_epochs", 1, "--run.weights_dir", "moved")
    devices = ("--devices", "[cuda:0, cuda:1]" if N_GPUS > 1 else "[cuda:0, cuda:0]", "--exchange.method", "peer")
    words = (*OPTIONS, *SPLIT, *devices, "--batch_size", TOTAL // 2, *trained_once)
    done = run_script("train.py", *words, timeout_s=240)
    assert done.returncode == 0, done.stderr
    assert_close(trained(run_script, tmp_path, "moved", 1), one, "moved")
