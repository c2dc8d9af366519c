import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lib.data.packed.layout import layout
from lib.data.packed.manifest import read_manifest
from lib.data.packed.metadata import read_classes
from tests.support.scripts import ROOT
from tests.support.tiny_tree import contents

ENVIRONMENT = {"PYTHON": sys.executable, "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def script(name: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "preprocessing" / name, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["generate_data.sh", "generate_toy_data.sh"])
def test_help_works_from_any_folder(tmp_path: Path, name: str) -> None:
    done = script(name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in (f"usage: {name}", "--img_size", "--val_label_file", "paths.yaml"):
        assert word in done.stdout
    assert not list(tmp_path.iterdir())


def test_generate_data_works_from_another_folder(tree: Path, whole: Path, tmp_path: Path) -> None:
    os.symlink(tree, tmp_path / "images")  # noqa: PTH211
    arguments = ["--train-img-dir", "images/train", "--val_img_dir=images/val", "--tar_root_dir", "out"]
    done = script(
        "generate_data.sh", *arguments, "--img-size", "32", "--file_batch_size=8", "--workers", "1", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "60 images to pack with 1 workers: needs 250 kB, " in done.stdout
    assert contents(tmp_path / "out") == contents(whole)


def test_a_toy_data_set_is_made_of_real_images(tree: Path, tmp_path: Path) -> None:
    arguments = [f"--{split}_img_dir={tree / split}" for split in ("train", "val")]
    done = script(
        "generate_toy_data.sh", *arguments, "--tar-root-dir=toy", "--img-size=32", "--val-images=4", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(layout(tmp_path / "toy"))
    assert (manifest.train.count, manifest.val.count) == (45, 4)


def test_a_toy_data_set_is_made_of_drawn_images(tmp_path: Path) -> None:
    arguments = ["--tar-root-dir", "toy", "--img-size", "32", "--train-images", "40", "--val-images", "20"]
    for _ in range(2):
        done = script("generate_toy_data.sh", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "complete already" in done.stdout
    at = layout(tmp_path / "toy")
    manifest = read_manifest(at)
    assert (manifest.train.count, manifest.val.count, manifest.n_classes) == (40, 20, 10)
    assert manifest.val.labels_crc32 is not None
    assert len(read_classes(at)) == 10


def test_an_error_is_one_line_and_ends_the_script(tmp_path: Path) -> None:
    done = script("generate_data.sh", "--img_sice", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: unknown option --img_sice; did you mean img_size?\n"


def test_ctrl_c_also_ends_the_shell_script(tree: Path, tmp_path: Path) -> None:
    arguments = [f"--{split}_img_dir={tree / split}" for split in ("train", "val")]
    process = subprocess.Popen(
        [ROOT / "preprocessing" / "generate_data.sh", *arguments, "--tar_root_dir=out", "--img-size=400"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()  # "listing the images ..."
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in errors
    assert "labels" not in out
