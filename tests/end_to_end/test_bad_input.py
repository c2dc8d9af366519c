"""Errors that the user can fix are one line that names the file or key and the fix, before training starts."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest

from lib.data.packed.layout import layout
from tests.support.data_sets import write_data_set
from tests.support.scripts import TINY_RUN, Script

OPTIONS = ("--model.name", "tiny", "--batch_size", 8, "--devices", "[cpu, cpu]", "--run.n_epochs", 1)


def remove(data: Path) -> None:
    shutil.rmtree(data)


def empty(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()


def lose_a_file(data: Path) -> None:
    (data / "train_hkl_b16/00001.hkl").unlink()


def truncate_a_file(data: Path) -> None:
    path = data / "val_hkl_b16/00001.hkl"
    path.write_bytes(path.read_bytes()[:-500])


def put_a_foreign_file(data: Path) -> None:
    path = data / "train_hkl_b16/00002.hkl"
    size = path.stat().st_size
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((16, 32, 32, 3), np.int8)
    path.write_bytes(path.read_bytes()[:size].ljust(size, b"\0"))


def put_garbage(data: Path) -> None:
    path = data / "train_hkl_b16/00000.hkl"
    path.write_bytes(bytes(path.stat().st_size))


def lose_the_offsets(data: Path) -> None:
    """As data sets were packed by older versions."""
    at = layout(data)
    manifest = msgspec.json.decode(at.manifest.read_bytes())
    del manifest["crc32"], manifest["val"]["files"][0]["offset"]
    at.manifest.write_bytes(msgspec.json.encode(manifest))


def lose_labels(data: Path) -> None:
    layout(data).labels("val").unlink()


def without_checksums(data: Path) -> None:
    """Remove the checksums, as in data sets of older versions."""
    at = layout(data)
    manifest = msgspec.json.decode(at.manifest.read_bytes())
    del manifest["crc32"]
    for split in ("train", "val"):
        manifest[split]["labels_crc32"] = None
    at.manifest.write_bytes(msgspec.json.encode(manifest))


def change_a_label(data: Path) -> None:
    path = layout(data).labels("train")
    labels = np.load(path)
    labels[5] = (labels[5] + 1) % 4
    np.save(path, labels)


def shorten_labels(data: Path) -> None:
    without_checksums(data)
    path = layout(data).labels("train")
    np.save(path, np.load(path)[:-1])


def put_a_label_out_of_range(data: Path) -> None:
    without_checksums(data)
    path = layout(data).labels("train")
    labels = np.load(path)
    labels[5] = 4
    np.save(path, labels)


def pickle_the_labels(data: Path) -> None:
    without_checksums(data)
    np.save(layout(data).labels("train"), np.array([{"a": 1}] * 48, dtype=object), allow_pickle=True)


def damage_the_mean(data: Path) -> None:
    layout(data).mean.write_bytes(b"\x93NUMPY")


def lose_classes(data: Path) -> None:
    layout(data).classes.unlink()


def damage_the_manifest(data: Path) -> None:
    layout(data).manifest.write_bytes(b'{"format": 1}')


def a_newer_manifest(data: Path) -> None:
    at = layout(data)
    at.manifest.write_bytes(at.manifest.read_bytes().replace(b'"format":1', b'"format":2'))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (remove, "data folder data does not exist; make one with preprocessing/generate_data.sh"),
        (empty, "data holds no files, which is no data set of a known layout; name with --data.dir a folder"),
        (lose_a_file, "1 of 3 files are missing from data/train_hkl_b16, the first is 00001.hkl; run preprocessing"),
        (truncate_a_file, "data/val_hkl_b16/00001.hkl has "),
        (
            put_a_foreign_file,
            "data/train_hkl_b16/00002.hkl is damaged (its header is not the one that was packed); delete",
        ),
        (put_garbage, "data/train_hkl_b16/00000.hkl is damaged (its header is not the one that was packed); delete it"),
        (lose_the_offsets, "run python -m preprocessing.add_offsets data once"),
        (lose_labels, "data/labels/val_labels.npy is missing; run preprocessing/make_labels.py"),
        (change_a_label, "train_labels.npy is damaged (its checksum is not the manifest's); delete it and run"),
        (shorten_labels, "train_labels.npy holds int64 (47,) where the manifest says int64 (48,)"),
        (put_a_label_out_of_range, "has labels from 0 to 4, but there are 4 classes, 0 to 3"),
        (pickle_the_labels, "train_labels.npy is damaged (Object arrays cannot be loaded"),
        (damage_the_mean, "data/misc/img_mean.npy is damaged"),
        (lose_classes, "data/misc/classes.json is missing; run preprocessing/make_train_val_txt.py"),
        (damage_the_manifest, "data/misc/manifest.json is damaged"),
        (a_newer_manifest, "data/misc/manifest.json has format 2; this version reads format 1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_data_set_is_an_error_that_names_the_file(
    tmp_path: Path, data_set: Path, run_here: Script, damage: Callable[[Path], None], says: str
) -> None:
    damage(data_set)
    done = run_here("train_2gpu.py", *OPTIONS)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "models").exists()  # no run was started


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--batch_size", 25], "batch_size 25 x 2 workers is 50 images an iteration, but data has 48 training images"),
        (["--devices", "[cpu, cuda:7]"], "devices: cuda:7: there is no such device here; use auto or one of: cpu"),
        (["--model.name", "alexnot"], "model.name is alexnot; did you mean alexnet? known networks:"),
        (["--model.name", "alexnet"], "images of 32 x 32 give a crop of 28, but this network needs at least 67"),
        (
            ["--run.resume", "gone.pt"],
            "there is no checkpoint gone.pt; run.resume is auto, never or a checkpoint's path",
        ),
        (["--run.weights_dir", "/proc/nowhere"], "run.weights_dir /proc/nowhere cannot be written"),
        (["--optimizer.learnin_rate", 1], "did you mean --optimizer.learning_rate?"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_an_error_that_names_the_key(
    data_set: Path, run_here: Script, options: list[object], says: str
) -> None:
    done = run_here("train_2gpu.py", *OPTIONS, *options)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_checkpoint_of_another_training_is_refused(finished_run: Path, run_script: Script) -> None:
    """The data set differs; tests/checkpoints/test_checkpoint.py tests the other differences."""
    write_data_set(finished_run / "other", seed=5)
    done = run_script("train_2gpu.py", *TINY_RUN, "--data.dir", "other")
    assert done.returncode == 2
    assert "belongs to another data set (fingerprint):" in done.stderr


def test_a_damaged_checkpoint_is_refused_and_training_does_not_start_over(
    finished_run: Path, run_script: Script
) -> None:
    path = finished_run / "models/checkpoints/epoch001_iter00000.pt"
    path.write_bytes(path.read_bytes()[:1000])
    done = run_script("train_2gpu.py", *TINY_RUN)
    assert done.returncode == 2
    assert done.stderr.startswith("error: models/checkpoints/epoch001_iter00000.pt is damaged or not a checkpoint")


def test_a_data_set_without_validation_images_is_refused(data_set: Path, run_here: Script) -> None:
    at = layout(data_set)
    without_checksums(data_set)
    manifest = msgspec.json.decode(at.manifest.read_bytes())
    manifest["val"]["files"] = []
    at.manifest.write_bytes(msgspec.json.encode(manifest))
    done = run_here("train_2gpu.py", *OPTIONS)
    assert done.returncode == 2
    assert done.stderr == "error: data/misc/manifest.json: there are no val images\n"
