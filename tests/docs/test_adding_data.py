"""The worked examples of an augmentation and a data source: they fit the program as it is, and they train."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.data_files import images_of
from tests.support.scripts import ROOT
from tests.support.worked_example import apply_example, run_python

AUGMENTATION, SOURCE = ROOT / "docs/adding_an_augmentation.md", ROOT / "docs/adding_a_data_source.md"
MOST_LINES = 60
TINY = (
    *("--data.img_size", "36", "--model.name", "tiny", "--batch_size", "8", "--devices", "[cpu]"),
    *("--run.n_epochs", "1", "--compute.threads", "1"),
    *("--logging.report", "false", "--logging.tensorboard", "false"),
)
DRAWN = """
import json
import numpy as np
import torch
from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.params import draw_params
from lib.data.augment.transform import Transform

jitter = AugmentConfig(color_jitter=0.4)
both = AugmentConfig(color_jitter=0.4, grayscale=0.25)
images = torch.randint(0, 256, (400, 9, 9, 3), dtype=torch.uint8)
old, new = (draw_params(400, img_size=9, crop=7, augment=a, seed=1, epoch=0) for a in (jitter, both))
transform = Transform(both, NormalizeConfig(mean="none"), np.zeros((3, 9, 9), np.float32), 7, torch.device("cpu"))
out = transform(images, torch.from_numpy(new))
gray = (out - out[:, :1]).abs().amax((1, 2, 3)) < 1e-4
print(json.dumps([bool((old[:, :-1] == new[:, :-1]).all()), gray.numpy().tolist() == (new[:, -1] == 1).tolist(),
                  gray.float().mean().item()]))
"""


def changed_files(folder: Path) -> list[str]:
    """Return the files of the program that the example has changed or added."""
    files = (path.relative_to(folder) for path in (folder / "lib").rglob("*.py"))
    return sorted(
        str(f) for f in files if not (ROOT / f).is_file() or (ROOT / f).read_text() != (folder / f).read_text()
    )


def test_an_augmentation_takes_three_files_and_changes_no_other_ones_numbers(tmp_path: Path) -> None:
    assert apply_example(AUGMENTATION, tmp_path) <= MOST_LINES
    assert changed_files(tmp_path) == [
        "lib/config/schema.py",
        "lib/data/augment/grayscale.py",
        "lib/data/augment/registry.py",
    ]
    others_are_the_same, gray_where_drawn, share = json.loads(run_python(tmp_path, "-c", DRAWN))
    assert others_are_the_same
    assert gray_where_drawn
    assert share == pytest.approx(0.25, abs=0.07)
    options = ("--data.source", "synthetic", "--run.limit_batches", "3", "--augment.grayscale", "0.5")
    run_python(tmp_path, "train.py", *TINY, *options)
    assert "grayscale: 0.5" in (tmp_path / "models/config.yaml").read_text()


def test_a_data_source_takes_two_files_and_trains(tmp_path: Path) -> None:
    assert apply_example(SOURCE, tmp_path) <= MOST_LINES
    assert changed_files(tmp_path) == ["lib/data/sources/npz.py", "lib/data/sources/registry.py"]
    data = tmp_path / "data"
    data.mkdir()
    for split, count in (("train", 24), ("val", 8)):
        images, labels = images_of(count)
        np.savez(data / f"{split}.npz", images=images, labels=labels)
    (data / "classes.txt").write_text("one two three four")
    output = run_python(tmp_path, "train.py", *TINY, "--data.source", "npz")
    assert "24 training and 8 validation images of 4 classes" in output
    (data / "val.npz").write_bytes(b"not a zip file")
    done = subprocess.run(
        [sys.executable, "train.py", *TINY, "--data.source", "npz"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: data/val.npz does not hold images and labels (")
