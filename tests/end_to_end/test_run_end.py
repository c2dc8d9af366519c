"""A training ends with its results and with commands that work as printed."""

import re
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from lib.commands.run_end import example_picture
from lib.config.schema import DataConfig
from tests.support.data_sets import write_data_set
from tests.support.scripts import ONE_WORKER, Script


def test_the_commands_that_a_run_prints_work_as_printed(tmp_path: Path, run_script: Script) -> None:
    write_data_set(tmp_path / "my data")
    picture = tmp_path / "my data/val/cat/1.png"
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.full((40, 50, 3), 99, np.uint8)).save(picture)
    where = ("--data.dir", "my data", "--run.weights_dir", "my run")
    done = run_script("train.py", *ONE_WORKER, *where, "--run.n_epochs", 2)
    assert done.returncode == 0, done.stderr
    errors = np.load(tmp_path / "my run/val_record.npy")[:, 0]
    end = done.stdout[done.stdout.index("\nbest:") :]
    best = int(errors.argmin())
    assert f"best:     epoch {best + 1} of 2, accuracy {100 - 100 * errors[best]:.2f} %" in end
    assert f"weights:  my run/checkpoints/epoch{best + 1:03d}_iter00000.pt\n" in end
    assert re.search(r"^time: +\d\d:\d\d, [\d,]+ images/s \(median\), memory \d\.\d GB a trainer$", end, re.MULTILINE)
    assert "page:" not in end, "there is none: logging.report is false"
    commands = end[end.index("next:") + 5 :].strip().splitlines()
    assert [re.findall(r"(\w+)\.py", line)[0] for line in commands] == ["classify", "validate", "export"]
    for line in commands:
        ran = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        if "validate" in line:
            assert f"top-1 error {100 * errors[best]:.2f} %" in ran.stdout
    assert (tmp_path / "my run/network.safetensors").is_file()
    assert "best: " in (tmp_path / "my run/train.log").read_text()
    # A file alone says what it was trained with, but not on which images.
    (tmp_path / f"my run/checkpoints/epoch{best + 1:03d}_iter00000.pt").rename(tmp_path / "alone.pt")
    (tmp_path / "my run/network.safetensors").rename(tmp_path / "alone.safetensors")
    for name in ("alone.pt", "alone.safetensors"):
        alone = run_script("validate.py", "--checkpoint", name, "--data.dir", "my data", "--batch_size", 8)
        assert alone.returncode == 0, alone.stderr
        assert f"top-1 error {100 * errors[best]:.2f} %" in alone.stdout


def test_the_picture_to_classify_is_one_that_was_not_trained_on(tmp_path: Path) -> None:
    data = DataConfig(dir=tmp_path)
    assert example_picture(data) is None
    for name in ("misc/mean.png", "cats/2.txt", "cats/1.JPG", "dogs/0.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert example_picture(data) == tmp_path / "cats/1.JPG"
    rows = "image,split,val_share\ncats/1.JPG,train,0.2\ncats/gone.jpg,val,0.2\ndogs/0.jpg,val,0.2\n"
    (tmp_path / "misc/split.csv").write_text(rows)
    assert example_picture(data) == tmp_path / "dogs/0.jpg"
    (tmp_path / "valid/dogs").mkdir(parents=True)
    (tmp_path / "valid/dogs/3.png").touch()
    assert example_picture(data) == tmp_path / "valid/dogs/3.png"
