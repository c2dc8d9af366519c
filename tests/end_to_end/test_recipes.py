"""What recipes and fine-tuning promise, in real runs of the real scripts."""

from pathlib import Path

import pytest
import torch

from tests.conftest import Script, write_data_set
from tests.end_to_end.test_training import ONE, TWO, assert_same_bits, final

PLAIN = ("--model.name", "tiny_without_dropout", "--run.n_epochs", 2)


@pytest.mark.parametrize("batch_size", [16, 14])
def test_accumulated_batches_make_the_update_of_one_larger_batch(
    tmp_path: Path, data_set: Path, run_script: Script, batch_size: int
) -> None:
    """48 images: three updates of 16 from batches of 8, or four of 14 and what is left from batches of 7."""
    # One view a batch is drawn by the batch's number, so views are fixed here; the order stays that of the images.
    options = (*PLAIN, "--views.random_crop", "false", "--views.mirror", "false")
    whole = run_script("train.py", *ONE, *options, "--batch_size", batch_size, "--run.weights_dir", "whole")
    parts = ("--batch_size", batch_size // 2, "--optimizer.accumulate", 2)
    accumulated = run_script("train.py", *ONE, *options, *parts)
    shared = run_script(
        "train_2gpu.py", *TWO, *options, "--batch_size", batch_size // 4 or 1, "--optimizer.accumulate", 2
    )
    assert (whole.returncode, accumulated.returncode, shared.returncode) == (0, 0, 0), accumulated.stderr
    a, b = final(tmp_path / "whole", 2), final(tmp_path / "models", 2)
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-3, atol=1e-5, msg=name)
