"""Metrics of a validation subset within an epoch, in a real run; see also tests/roles/test_subset_in_training.py."""

import json
from pathlib import Path

from tests.support.scripts import Script

RUN = ("--model.name", "tiny", "--batch_size", 4, "--run.n_epochs", 1, "--devices", "[cpu, cpu]")


def test_a_subset_of_all_images_has_the_figures_of_the_validation(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    """The learning rate is almost zero, so the last iterations change nothing visible."""
    options = ("--logging.val_freq", 5, "--logging.val_images", 20, "--optimizer.learning_rate", 1e-12)
    assert run_script("train_2gpu.py", *RUN, *options).returncode == 0
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    subset, val = (next(e for e in entries if e["kind"] == kind) for kind in ("val_subset", "val"))
    assert (subset["top1_error"], subset["images"]) == (val["top1_error"], val["images"])
    assert abs(subset["loss"] - val["loss"]) < 1e-6
