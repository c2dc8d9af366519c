"""Pack a data set of noise as make_hkl.py does, and drop its files from the page cache."""

import os
from pathlib import Path

import msgspec
import numpy as np

from lib.data.dataset import ClassName
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import Manifest, SplitManifest
from lib.packing.buffers import allocate_buffers
from lib.packing.files import write_file, write_manifest
from lib.packing.tasks import WriteFile
from lib.system.npy import to_npy_bytes
from lib.types import SPLITS, Split

N_CLASSES = 1000


def pack_noise(folder: Path, *, train: int, val: int, img_size: int, file_batch_size: int = 256) -> Layout:
    """Pack random images and labels into ``folder``."""
    at, rng = layout(folder), np.random.default_rng(0)
    buffers = allocate_buffers(img_size, file_batch_size, 1)
    buffers.files[0] = rng.integers(0, 256, buffers.files[0].shape, np.uint8)
    splits: dict[Split, SplitManifest] = {}
    for split, count in zip(SPLITS, (train, val), strict=True):
        at.batch_dir(split, file_batch_size).mkdir(parents=True)
        files = []
        for number, start in enumerate(range(0, count, file_batch_size)):
            path = at.batch_file(split, file_batch_size, number)
            stop = min(start + file_batch_size, count)
            files.append(WriteFile(0, str(path), stop - start, start, stop, sum_images=False).run(buffers).file)
        at.labels(split).parent.mkdir(exist_ok=True)
        labels_crc32 = write_file(at.labels(split), to_npy_bytes(rng.integers(0, N_CLASSES, count)))
        splits[split] = SplitManifest(files=tuple(files), labels_crc32=labels_crc32)
    at.misc.mkdir(exist_ok=True)
    names = [ClassName(i, f"{i:03d}", f"class {i}") for i in range(N_CLASSES)]
    write_file(at.classes, msgspec.json.encode(names))
    mean_crc32 = write_file(at.mean, to_npy_bytes(np.full((3, img_size, img_size), 127.5, np.float32)))
    manifest = Manifest(
        img_size=img_size,
        file_batch_size=file_batch_size,
        resize="squash",
        seed=1,
        n_classes=N_CLASSES,
        source_fingerprint="noise",
        mean_crc32=mean_crc32,
        skipped=0,
        train=splits["train"],
        val=splits["val"],
    )
    write_manifest(at, manifest)
    return at


def batch_files(folder: Path, split: Split) -> list[Path]:
    """Return the files of a split, in order."""
    return sorted(folder.glob(f"{split}_hkl_b*/*.hkl"))


def drop_from_cache(folder: Path) -> None:
    """Ask the kernel to drop the batch files in ``folder`` from its page cache."""
    for path in [*batch_files(folder, "train"), *batch_files(folder, "val")]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)  # pages that are not written yet cannot be dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
