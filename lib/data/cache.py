"""What is worked out once about a data set that is read as it is, and kept in its misc folder.

The fingerprint of what it was worked out from stands in the file's name, so nothing kept is ever out of date.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.config.schema import DataConfig
from lib.data.packed.layout import layout
from lib.data.sources.base import Source
from lib.errors import ConfigError
from lib.system.atomic_write import atomic_write
from lib.system.npy import bytes_of

MEAN_SAMPLES = 10_000
# Images read at a time for the mean.
_CHUNK = 64
# So long another run may take to make what we need, too.
_PATIENCE_S = 600


def cached(path: Path, make: Callable[[], bytes]) -> Path:
    """``path``, filled by ``make`` if it is not there; several runs that start at once make it once.

    Raises ConfigError when it cannot be written.
    """
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.parent / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _claim(lock, path)
            if not path.exists():
                content = make()
                atomic_write(path, lambda file: file.write(content))
        finally:
            os.close(lock)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; name a folder that can be, with --data.misc_dir"
        ) from None
    return path


def _claim(lock: int, path: Path) -> None:
    """Wait for whoever makes ``path`` now. Raises ConfigError when that takes too long."""
    deadline = time.monotonic() + _PATIENCE_S
    told = False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"another run has been making {path} for {_PATIENCE_S} s; end it, or name another folder with "
                    "--data.misc_dir"
                ) from None
        if not told:
            print(f"waiting for another run, which is making {path} ...", flush=True)
            told = True
        time.sleep(0.1)


def cached_mean(data: DataConfig, fingerprint: str, img_size: int, open_train: Callable[[], Source]) -> Path:
    """The file of the mean image of up to 10,000 training images, evenly spaced, float32 (3, H, W)."""

    def make() -> bytes:
        source = open_train()
        try:
            count = min(MEAN_SAMPLES, len(source.labels))
            print(f"computing the mean image of {data.dir} from {count:,} images, once ...", flush=True)
            return bytes_of(sample_mean(source, count, img_size))
        finally:
            source.close()

    return cached(layout(data.dir, data.misc_dir).misc / f"mean_{fingerprint}.npy", make)


def sample_mean(source: Source, count: int, img_size: int) -> NDArray[np.float32]:
    """The mean of ``count`` of the source's images, (3, H, W)."""
    indices = np.linspace(0, len(source.labels) - 1, count).astype(np.int64)
    total = np.zeros((img_size, img_size, 3), np.int64)
    images = np.empty((_CHUNK, img_size, img_size, 3), np.uint8)
    for start in range(0, count, _CHUNK):
        part = indices[start : start + _CHUNK]
        source.read(part, images[: len(part)])
        total += images[: len(part)].sum(0, dtype=np.int64)
    return (total / count).transpose(2, 0, 1).astype(np.float32)
