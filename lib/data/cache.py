"""Results about a data set that are computed once and stored in its misc folder.

Each file name contains the fingerprint of the data that the result was computed from, so no result is ever outdated.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..config.schema import DataConfig
from ..errors import ConfigError
from ..system.atomic_write import atomic_write
from ..system.file_lock import open_lock_file, wait_for_lock
from ..system.npy import to_npy_bytes
from ..system.terminal import print_stdout
from ..types import Split
from .dataset import ClassName, DataSet
from .packed.layout import layout
from .sources.base import Source, Warn

MEAN_SAMPLES = 10_000
# Images that are read at a time for the mean.
_CHUNK = 64
# The longest wait for another run that computes the same result.
_TIMEOUT_S = 600


def cached(path: Path, compute: Callable[[], bytes]) -> Path:
    """Return ``path`` after writing the result of ``compute`` to it, unless it exists.

    Of several runs that start at once, only one computes. Raises ConfigError if the file cannot be written.
    """
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open_lock_file(path.parent / ".lock")
        try:
            if not _wait(lock, path):
                raise ConfigError(
                    f"another run has been making {path} for {_TIMEOUT_S} s; end it, or name another folder with "
                    "--data.misc_dir"
                )
            if not path.exists():
                content = compute()
                atomic_write(path, lambda file: file.write(content))
        finally:
            os.close(lock)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; name a writable folder with --data.misc_dir"
        ) from None
    return path


def results_folder(data: DataConfig) -> Path | None:
    """Return the folder of the results about a data set; None if there are none, as about packed images."""
    folder = layout(data.dir, data.misc_dir).misc
    return folder if any(folder.glob("mean_*.npy")) else None


def _wait(lock: int, path: Path) -> bool:
    """Wait for the lock. Returns False after a long time, and True where there are no locks: writing is atomic."""
    try:
        return wait_for_lock(
            lock, _TIMEOUT_S, lambda: print_stdout(f"waiting for another run, which is making {path} ...")
        )
    except OSError:
        return True


def describe_with_mean(
    data: DataConfig,
    *,
    counts: dict[Split, int],
    classes: tuple[ClassName, ...],
    fingerprint: str,
    version: int = 0,
    open_split: Callable[[DataConfig, DataSet, Split, Warn], Source],
) -> DataSet:
    """Return the description of a data set that is not packed, with the cached mean of up to 10,000 training images.

    Another ``version`` of the images has the same ``fingerprint`` (it may be a copy of the data set), but not the mean.
    """
    described = DataSet(
        where=str(data.dir),
        img_size=data.img_size,
        resize=data.resize,
        train_counts=(counts["train"],),
        val_counts=(counts["val"],),
        classes=classes,
        fingerprint=fingerprint,
    )

    def compute() -> bytes:
        source = open_split(replace(data, cache="none"), described, "train", print_stdout)
        try:
            count = min(MEAN_SAMPLES, len(source.labels))
            print_stdout(f"computing the mean image of {data.dir} from {count:,} images, once ...")
            return to_npy_bytes(sample_mean(source, count, data.img_size))
        finally:
            source.close()

    name = f"mean_{fingerprint}_{version:x}.npy" if version else f"mean_{fingerprint}.npy"
    mean = cached(layout(data.dir, data.misc_dir).misc / name, compute)
    return msgspec.structs.replace(described, mean_image=mean)


def sample_mean(source: Source, count: int, img_size: int) -> NDArray[np.float32]:
    """Return the mean of ``count`` evenly spaced images of the source, (3, H, W)."""
    indices = np.linspace(0, len(source.labels) - 1, count).astype(np.int64)
    total = np.zeros((img_size, img_size, 3), np.int64)
    images = np.empty((_CHUNK, img_size, img_size, 3), np.uint8)
    for start in range(0, count, _CHUNK):
        part = indices[start : start + _CHUNK]
        source.read(part, images[: len(part)])
        total += images[: len(part)].sum(0, dtype=np.int64)
    return (total / count).transpose(2, 0, 1).astype(np.float32)
