"""What recipes and fine-tuning promise, in real runs of the real scripts."""

import signal
import subprocess
from pathlib import Path

import pytest
import torch

from tests.conftest import Script, command, write_data_set
from tests.end_to_end.test_training import ONE, TWO, assert_same_bits, final, interrupt

CHECKPOINT = "models/checkpoints/epoch004_iter00000.pt"


def test_accumulated_batches_make_the_update_of_one_larger_batch(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    """48 images: 20 + 20 + 8 from two workers' batches of 5, two each."""
    options = ("--model.name", "tiny_without_dropout", "--optimizer.label_smoothing", 0.1)
    whole = run_script("train.py", *ONE, *options, "--batch_size", 20, "--run.weights_dir", "whole")
    parts = run_script("train_2gpu.py", *TWO, *options, "--batch_size", 5, "--optimizer.accumulate", 2)
    assert (whole.returncode, parts.returncode) == (0, 0), whole.stderr + parts.stderr
    a, b = final(tmp_path / "whole"), final(tmp_path / "models")
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-3, atol=1e-5, msg=name)


def test_interrupted_between_accumulated_updates_and_resumed_equals_uninterrupted(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    options = (*TWO, "--batch_size", 4, "--optimizer.accumulate", 4, "--logging.print_freq", 1)
    assert run_script("train_2gpu.py", *options, "--run.weights_dir", "whole").returncode == 0
    words = command("train_2gpu.py", *options)
    status, stderr = interrupt(words, tmp_path, tmp_path / "models/metrics.jsonl", 1, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM, stderr
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert_same_bits(tmp_path / "models", tmp_path / "whole")


def test_fine_tuning_for_other_classes_with_frozen_features(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    assert run_script("train.py", *ONE).returncode == 0
    write_data_set(tmp_path / "other", n_classes=3)
    tuned = run_script(
        "train_2gpu.py",
        *(*TWO, "--data.dir", "other", "--run.weights_dir", "tuned", "--optimizer.decayed", "all"),
        *("--model.weights", CHECKPOINT, "--model.freeze", "[features]"),
    )
    assert tuned.returncode == 0, tuned.stderr
    last = "classifier.2.weight, classifier.2.bias"
    assert f"weights:  {CHECKPOINT}, all but {last}, which are new: 3 classes here, 4 there" in tuned.stdout
    before, after = final(tmp_path / "models"), final(tmp_path / "tuned")
    features = [name for name in before if name.startswith("parameters.features")]
    assert features
    assert all(torch.equal(before[name], after[name]) for name in features)
    assert not any(name.startswith("velocities.features") for name in after)
    assert float(after["velocities.classifier.2.weight"].abs().sum()) > 0


def test_a_run_says_what_it_does_other_than_the_recipe(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    done = run_script("train.py", *ONE, "--run.n_epochs", 1)
    assert (
        "recipe:   theano_alexnet, config.yaml, for 256 images an update (here 8); here run.n_epochs 1 (there 60)"
        in done.stdout
    )
    assert "  n_epochs: 1  # the recipe has 60\n" in (tmp_path / "models/config.yaml").read_text()


def test_a_network_with_auxiliary_heads_and_norms_trains_on_two_workers(tmp_path: Path, run_script: Script) -> None:
    """17 images: the last batch leaves one worker a single image and the other none."""
    write_data_set(tmp_path / "data", train=17, val=5, img_size=56)
    done = run_script("train_2gpu.py", *TWO, "--model.name", "googlenet_bn", "--run.n_epochs", 1)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model.weights", "gone.pt"], "there are no weights at gone.pt"),
        (["--model.freeze", "[body]"], "model.freeze: body is no part of this network; its parts are features, class"),
        (["--optimizer.accumulate", 9], "optimizer.accumulate 9 makes 72 images an update, but data has 48 training"),
    ],
    ids=str,
)
def test_a_wrong_setting_of_a_recipe(data_set: Path, run_here: Script, options: list[object], says: str) -> None:
    done = run_here("train.py", *ONE, *options)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
