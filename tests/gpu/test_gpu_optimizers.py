"""Optimizers, clipping, Lookahead, averages over time and class weights inside the captured step of GPUs."""

from pathlib import Path

import pytest
import torch

from tests.support.runs import assert_same_bits
from tests.support.scripts import Script

# A large eps hides the rounding of gradients that are nearly zero, which these rules divide by.
BASE = (
    *("--model.name", "tiny_without_dropout", "--batch_size", 8, "--compute.deterministic", "true"),
    *("--optimizer.learning_rate", 1e-3, "--optimizer.eps", 1e-2, "--optimizer.class_weights", "balanced"),
)
KINDS = {
    "adamw": ("--optimizer.name", "adamw", "--model.ema", 0.9),
    "radam": ("--optimizer.name", "radam", "--optimizer.betas", "[0.9, 0.9]", "--optimizer.lookahead", 3),
    "lamb": ("--optimizer.name", "lamb", "--optimizer.clip_norm", 0.5),
    "torch": ("--optimizer.name", "Adagrad", "--optimizer.options", "eps=0.01", "--optimizer.lookahead", 2),
    "sgd": ("--optimizer.clip_norm", 0.5, "--optimizer.lookahead", 2, "--model.ema", 0.9),
}
POLICY = ("--schedule.policy", "flat_cosine", "--schedule.flat", 0.5)


def saved(folder: Path) -> dict[str, torch.Tensor]:
    """Return weights and state, by name, of the last checkpoint."""
    state = torch.load(folder / "checkpoints/epoch004_iter00000.pt", weights_only=True)
    slots = {f"{slot} {name}": value for slot, values in state["slots"].items() for name, value in values.items()}
    return {**slots, **state["parameters"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_training_is_the_uninterrupted_one(
    tmp_path: Path, data_set: Path, run_script: Script, kind: str
) -> None:
    options = (*BASE, *KINDS[kind])
    for name, epochs in (("whole", 4), ("resumed", 2), ("resumed", 4)):
        words = ("--run.weights_dir", name, "--run.n_epochs", epochs)
        done = run_script("train_2gpu.py", *options, *words)
        assert done.returncode == 0, done.stderr
    assert_same_bits(tmp_path / "whole", tmp_path / "resumed")
    whole, resumed = saved(tmp_path / "whole"), saved(tmp_path / "resumed")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_captured_step_of_gpus_trains_as_cpus_do(
    tmp_path: Path, data_set: Path, run_script: Script, kind: str
) -> None:
    """Rate, bias corrections and the turns of Lookahead change from one replay of the graph to the next."""
    for name in ("auto", "cpu"):
        devices = f"[{name}, {name}]"
        words = ("--compute.precision", "fp32", "--devices", devices, "--run.weights_dir", name, "--run.n_epochs", 4)
        done = run_script("train_2gpu.py", *BASE, *KINDS[kind], *POLICY, *words)
        assert done.returncode == 0, done.stderr
    cpu = saved(tmp_path / "cpu")
    for key, value in saved(tmp_path / "auto").items():
        torch.testing.assert_close(value, cpu[key], rtol=1e-3, atol=1e-4, msg=key)
