"""Write tiny trees of images, and read the data sets made from them."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hickle
import numpy as np
import scipy.io
from PIL import Image

from lib.packing.devkit import Synset
from lib.packing.make_hkl import make_hkl
from lib.packing.make_labels import make_labels
from lib.packing.make_train_val_txt import make_train_val_txt
from lib.packing.settings import Settings
from tests.support.scripts import ROOT

WNIDS = ("n01", "n02", "n10")
SIZE = 32
# The class numbers of the devkit are not in the order of the folder names.
SYNSETS = [Synset(1, "n10", "kit fox, Vulpes macrotis"), Synset(2, "n02", "setter"), Synset(3, "n01", "tench")]
SHAPES = [("ILSVRC2012_ID", "words"), ("ILSVRC2014_CLSLOC_ID", "name"), ("ILSVRC2015_CLSLOC_ID", "name")]


def jpeg(seed: int, quality: int = 90) -> bytes:
    """Return a small image as JPEG, a different one for each seed."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(20, 70, 2)
    coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(
        file, "JPEG", quality=quality
    )
    return file.getvalue()


def make_tree(root: Path, train: int = 15, val: int = 5) -> Path:
    """Write ``train`` and ``val`` images into each of three class folders."""
    for split, count in (("train", train), ("val", val)):
        for c, wnid in enumerate(WNIDS):
            folder = root / split / wnid
            folder.mkdir(parents=True)
            for i in range(count):
                seed = 100_000 * (split == "val") + 1000 * c + i
                (folder / f"{wnid}_{i}.JPEG").write_bytes(jpeg(seed))
    return root


def write_synsets(path: Path, id_field: str, name_field: str, synsets: Sequence[Synset] = SYNSETS) -> Path:
    """Write the class list of the devkit in one of its ``SHAPES``."""
    fields = [(id_field, object), ("WNID", object), (name_field, object), ("gloss", object)]
    rows = np.zeros((len(synsets), 1), fields)
    for row, s in zip(rows, synsets, strict=True):
        row[0] = (np.uint16(s.id), s.wnid, s.name, "a gloss")
    scipy.io.savemat(path, {"synsets": rows})
    return path


def settings_for(tree: Path, out: Path, **changes: Any) -> Settings:
    values = {
        "train_img_dir": tree / "train",
        "val_img_dir": tree / "val",
        "tar_root_dir": out,
        "img_size": SIZE,
        "file_batch_size": 8,
        "workers": 1,
    }
    return Settings(**{**values, **changes})


def make_all(settings: Settings) -> Path:
    make_hkl(settings)
    make_train_val_txt(settings)
    make_labels(settings)
    return settings.tar_root_dir


def contents(out: Path) -> dict[str, bytes]:
    """Return every file of a data set, without its cache."""
    paths = sorted(path for path in out.rglob("*") if path.is_file())
    files = {str(path.relative_to(out)): path.read_bytes() for path in paths}
    return {name: data for name, data in files.items() if not name.startswith("misc/cache/")}


def images(out: Path, split: str, file_batch_size: int = 8) -> list[np.ndarray]:
    return [hickle.load(path) for path in sorted((out / f"{split}_hkl_b{file_batch_size}").glob("*.hkl"))]


def tar_of(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        for item in sorted(folder.iterdir()):
            tar.add(item, item.name)
    return path


def tar_of_tars(folder: Path, path: Path) -> Path:
    """Write a tar that holds one tar per class, like ILSVRC2012_img_train.tar."""
    with tarfile.open(path, "w") as outer:
        for wnid in sorted(folder.iterdir(), reverse=True):
            inner = tar_of(wnid, path.with_name(f"{wnid.name}.tar"))
            outer.add(inner, inner.name)
            inner.unlink()
    return path


def start(script: str, settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """Start a preprocessing script in its own process group."""
    keys = ("train_img_dir", "val_img_dir", "tar_root_dir", "img_size", "file_batch_size", "workers")
    options = [f"--{key}={getattr(settings, key)}" for key in keys]
    return subprocess.Popen(
        [sys.executable, "-m", f"preprocessing.{script}", *options, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.002)


def group_is_gone(group: int) -> bool:
    """Return whether no live process of the group is left."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                return False
    return True


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    os.kill(process.pid, number)
    process.communicate(timeout=30)
