"""``data.cache: memory``: all images of a data set in memory, once for all workers of a machine.

The process that fills it owns the memory, which has no name: it is freed with the last process that maps it, however
that one ends.
"""

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..config.schema import DataConfig
from ..errors import ConfigError
from ..ipc import shared_memory
from ..ipc.messages import TensorHandle
from ..system.memory import free_memory
from ..system.terminal import print_stdout
from ..types import SPLITS, Split
from .dataset import DataSet
from .sources.base import SourceKind, Warn
from .worker_count import with_counts

# The share of the free memory that images may take: trainers, loaders and the page cache need some.
_MAX_SHARE = 0.9
# Images that are read at a time.
_CHUNK = 512


class CachedSplit(msgspec.Struct, frozen=True):
    """How a process of the run opens the images (N, H, W, 3) and labels (N,) of one split."""

    images: TensorHandle
    labels: TensorHandle


class MemoryCache:
    """The images and labels of a data set. They last as long as this object, or a process that has opened them."""

    def __init__(self, kind: SourceKind, config: DataConfig, data: DataSet, warn: Warn) -> None:
        """Read all images. Raises DataError, and ConfigError if they do not fit into memory."""
        count, n_bytes = sum(data.count(split) for split in SPLITS), n_bytes_of(data)
        text = f"{n_bytes / 1e9:,.3f} GB for {count:,} images of {data.where}"
        if n_bytes > _MAX_SHARE * (free := free_memory()):
            raise ConfigError(
                f"data.cache memory needs {text}, but {free / 1e9:,.3f} GB of memory are free here, of which "
                f"{_MAX_SHARE:.0%} may be taken; set data.cache to none, or free memory or raise the container's limit"
            )
        print_stdout(f"data.cache memory: reading {text} into memory, once for all workers ...")
        self._arrays: list[NDArray[np.generic]] = []
        self.splits = {split: self._fill(kind, config, data, split, warn) for split in SPLITS}
        """how to open each split"""

    def _fill(self, kind: SourceKind, config: DataConfig, data: DataSet, split: Split, warn: Warn) -> CachedSplit:
        count, size = data.count(split), data.img_size
        images, images_handle = shared_memory.create(f"{split} images", (count, size, size, 3), "uint8")
        labels, labels_handle = shared_memory.create(f"{split} labels", (count,), "int64")
        source = kind.open(replace(with_counts(config, loaders=1), cache="none"), data, split, warn)
        try:
            labels[:] = source.labels
            for start in range(0, count, _CHUNK):
                indices = np.arange(start, min(start + _CHUNK, count))
                source.read(indices, images[start : start + len(indices)])
        finally:
            source.close()
        self._arrays += [images, labels]
        return CachedSplit(images_handle, labels_handle)


def n_bytes_of(data: DataSet) -> int:
    """Return the bytes of all images."""
    return sum(data.count(split) for split in SPLITS) * data.img_size**2 * 3
