"""Small data sets in the real layout, and a way to run the real scripts."""

import os
import runpy
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import hickle
import msgspec
import numpy as np
import pytest

from lib.data.packed.layout import BatchFile, ClassName, Layout, Manifest, SplitManifest, layout
from lib.types import Split

ROOT = Path(__file__).parents[1]
IMG_SIZE = 32

# Several processes test at once; threads of theirs that wait for each other would use up the cores. This is read when
# PyTorch is imported, and inherited by processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels are compiled where there is a GPU and interpreted elsewhere; Triton asks when they are first imported.
if not list(Path("/dev").glob("nvidia[0-9]*")):
    os.environ.setdefault("TRITON_INTERPRET", "1")


def write_data_set(
    folder: Path,
    *,
    train: int = 48,
    val: int = 20,
    file_batch_size: int = 16,
    img_size: int = IMG_SIZE,
    n_classes: int = 4,
    seed: int = 0,
) -> Layout:
    """A complete data set whose classes are told apart by the brightness of one quarter of the image."""
    at = layout(folder)
    rng = np.random.default_rng(seed)
    splits = {}
    names: tuple[tuple[Split, int], ...] = (("train", train), ("val", val))
    for split, count in names:
        labels = rng.integers(0, n_classes, count)
        images = rng.integers(0, 120, (count, img_size, img_size, 3), dtype=np.uint8)
        half = img_size // 2
        for image, label in zip(images, labels, strict=True):
            image[half * (label // 2 % 2) :, half * (label % 2) :][:half, :half] += 100
        if split == "train":
            at.misc.mkdir(parents=True)
            np.save(at.mean, images.mean(0).transpose(2, 0, 1).astype(np.float32))
        splits[split] = _write_split(at, split, images, labels, file_batch_size)
    at.classes.write_bytes(msgspec.json.encode([ClassName(i, f"n{i:08d}", f"class {i}") for i in range(n_classes)]))
    manifest = Manifest(
        img_size=img_size,
        file_batch_size=file_batch_size,
        resize="squash",
        seed=1,
        n_classes=n_classes,
        source_fingerprint=f"test {seed}",
        mean_crc32=zlib.crc32(at.mean.read_bytes()),
        skipped=0,
        **splits,
    )
    at.manifest.write_bytes(msgspec.json.encode(manifest.sealed()))
    return at


def _write_split(
    at: Layout, split: Split, images: np.ndarray, labels: np.ndarray, file_batch_size: int
) -> SplitManifest:
    at.batch_dir(split, file_batch_size).mkdir(parents=True)
    files = []
    for number, start in enumerate(range(0, len(images), file_batch_size)):
        path = at.batch_file(split, file_batch_size, number)
        part = images[start : start + file_batch_size]
        hickle.dump(part, path, mode="w")
        content = path.read_bytes()
        files.append(
            BatchFile(
                name=path.name,
                count=len(part),
                bytes=len(content),
                crc32=zlib.crc32(content),
                source_start=start,
                source_stop=start + len(part),
            )
        )
    at.labels(split).parent.mkdir(exist_ok=True)
    np.save(at.labels(split), labels.astype(np.int64))
    return SplitManifest(files=tuple(files), labels_crc32=zlib.crc32(at.labels(split).read_bytes()))


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """The folder of a small complete data set of 48 training and 20 validation images."""
    return write_data_set(tmp_path / "data").dir


Script = Callable[..., subprocess.CompletedProcess[str]]


def command(script: str, *arguments: object) -> list[str]:
    """The words that start a script of the project.

    A page and event files for each of many short trainings would only cost time, as would threads for a network this
    small; tests that want them say so.
    """
    extras: tuple[str, ...] = ("--compute.threads", "1") if script.startswith(("train", "validate.")) else ()
    if script.startswith("train"):
        extras += ("--logging.report", "false", "--logging.tensorboard", "false")
    return [sys.executable, str(ROOT / script), *extras, *map(str, arguments)]


@pytest.fixture
def run_script(tmp_path: Path) -> Script:
    """Runs a script of the project as a user would, in an empty folder, and returns how it ended."""

    def run(script: str, *arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(script, *arguments),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Script:
    """As ``run_script``, but within this process, which spares its start: for what starts no processes of its own."""

    def run(script: str, *arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", command(script, *arguments)[1:])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        return subprocess.CompletedProcess(script, int(str(ended.value.code)), *capfd.readouterr())

    return run


FINISHED = ("--model.name", "tiny", "--batch_size", 8, "--devices", "[cpu, cpu]", "--logging.print_freq", 2)


@pytest.fixture(scope="session")
def _finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_data_set(folder / "data")
    words = command("train_2gpu.py", *FINISHED, "--run.n_epochs", 1)
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture
def finished_run(tmp_path: Path, _finished_run: Path) -> Path:
    """The folder of a test in which a run with the options ``FINISHED`` has done its one epoch."""
    return shutil.copytree(_finished_run, tmp_path, dirs_exist_ok=True)


ONE = ("--model.name", "tiny", "--batch_size", 8, "--run.n_epochs", 4, "--logging.print_freq", 2, "--devices", "[cpu]")


@pytest.fixture(scope="session")
def _one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    write_data_set(folder / "data")
    words = command("train.py", *ONE, "--run.keep", 9)
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    (folder / "said").write_text(done.stdout)
    return folder


@pytest.fixture
def one_run(tmp_path: Path, _one_run: Path) -> Path:
    """As ``finished_run``: one worker, with the options ``ONE``; all checkpoints are kept, and what it ``said``."""
    return shutil.copytree(_one_run, tmp_path, dirs_exist_ok=True)
