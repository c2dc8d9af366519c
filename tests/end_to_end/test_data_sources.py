"""Real runs that read data sets of other programs, or synthetic data."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.data_files import write_jpeg_folder, write_lmdb, write_unsplit_folder
from tests.support.runs import assert_same_bits
from tests.support.scripts import Script

SMALL = ("--model.name", "tiny", "--batch_size", 8, "--run.n_epochs", 2, "--devices", "[cpu, cpu]")
SIZE = ("--data.img_size", 32)
WRITERS = {"jpeg_folder": write_jpeg_folder, "lmdb": write_lmdb}


@pytest.mark.parametrize("source", WRITERS)
def test_resnet50_trains_on_two_workers_from_each_source(tmp_path: Path, run_script: Script, source: str) -> None:
    WRITERS[source](tmp_path / "data", train=24, val=12)
    options = (*SMALL, "--model.name", "resnet50", "--run.n_epochs", 1, "--data.img_size", 40, "--data.decoders", 1)
    done = run_script("train_2gpu.py", *options, "--data.source", source)
    assert done.returncode == 0, done.stderr
    assert "24 training and 12 validation images of 4 classes, 40 x 40" in done.stdout
    assert "network:  resnet50, 23,516,228 parameters, crop 35" in done.stdout
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    assert [e["images"] for e in entries] == [24, 12]


def test_the_number_of_decoders_does_not_change_the_training(tmp_path: Path, run_script: Script) -> None:
    write_jpeg_folder(tmp_path / "data", train=40, val=12)
    for decoders in (0, 2):
        options = (*SMALL[:-1], "[cpu]", *SIZE, "--data.source", "jpeg_folder", "--data.decoders", decoders)
        assert run_script("train.py", *options, "--run.weights_dir", f"models{decoders}").returncode == 0
    assert_same_bits(tmp_path / "models0", tmp_path / "models2", epoch=2)


def test_a_broken_image_does_not_end_the_run(tmp_path: Path, run_script: Script) -> None:
    folder = write_jpeg_folder(tmp_path / "data", train=40, val=12)
    options = (*SMALL, *SIZE, "--data.source", "jpeg_folder", "--data.decoders", 1)
    for name in ("train/n01/001.JPEG", "val/n02/002.JPEG"):
        (folder / name).write_bytes(b"no picture")
    done = run_script("train_2gpu.py", *options)
    assert done.returncode == 0, done.stderr
    skipped = [line for line in done.stderr.splitlines() if "is skipped" in line]
    assert any("data/train/n01/001.JPEG is skipped: it is none of JPEG" in line for line in skipped)
    assert any("data/val/n02/002.JPEG is skipped" in line for line in skipped)
    assert "001.JPEG is skipped" in (tmp_path / "models/train.log").read_text()
    assert len(np.load(tmp_path / "models/val_record.npy")) == 2


def test_a_folder_of_class_folders_just_trains(tmp_path: Path, run_script: Script) -> None:
    write_unsplit_folder(tmp_path / "photos", train=40)
    for _ in range(2):
        done = run_script("train.py", *SMALL[:-1], "[cpu]", *SIZE, "--data.dir", "photos", "--run.resume", "never")
        assert done.returncode == 0, done.stderr
    with (tmp_path / "photos/misc/split.csv").open() as file:
        sides = [row["split"] for row in csv.DictReader(file)]
    counts = f"{sides.count('train')} training and {sides.count('val')} validation images of 4 classes, 32 x 32"
    assert f"photos: {counts}" in done.stdout
    assert len(sides) == 40
    assert sides.count("val") >= 4


def test_synthetic_data_needs_no_files(tmp_path: Path, run_script: Script) -> None:
    sizes = ("--data.synthetic.train", 40, "--data.synthetic.val", 9, "--data.synthetic.classes", 3)
    uniform = ("--data.sampling", "class_uniform", "--data.epoch_size", 4, "--logging.print_freq", 4)
    views = ("--augment.crop", "resized", "--augment.color_jitter", 0.4, "--augment.pca_lighting", 0.1)
    norm = ("--normalize.mean", "channel", "--normalize.std", "[58.4, 57.12, 57.38]")
    options = (*SMALL, *SIZE, "--data.source", "synthetic", *sizes, *uniform, *views, *norm)
    done = run_script("train_2gpu.py", *options)
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    assert [e["images"] for e in entries] == [64, 9, 64, 9]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data.source", "cifar"], "data.source is cifar; did you mean cifar10? known sources: auto, hickle, "),
        (["--data.source", "lmdb"], "data holds 0 folders *train* with a data.mdb, where one should be"),
        (["--data.source", "jpeg_folder", "--data.img_size", 8], "images of 8 x 8 give a crop of 7, but this network"),
        (["--data.epoch_size", 3], "data.epoch_size is 3, but data.sampling shuffled uses every image once per epoch"),
    ],
    ids=str,
)
def test_an_unreadable_source_is_an_error_of_one_line(
    tmp_path: Path, run_here: Script, options: list[object], says: str
) -> None:
    write_jpeg_folder(tmp_path / "data", train=40, val=12)
    done = run_here("train_2gpu.py", *SMALL, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
