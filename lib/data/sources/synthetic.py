"""``data.source: synthetic``: random images made once, for first runs and for benchmarks without a disk."""

import numpy as np

from ...config.schema import DataConfig
from ...types import SPLITS, Split
from ..cache_choice import Cache
from ..dataset import DataSet, numbered_classes
from ..index import fingerprint
from ..worker_count import readers
from .base import Source, SourceKind, Warn
from .in_memory import InMemory

# Distinct images. More would cost memory and change nothing.
_DISTINCT = 256


def _describe(data: DataConfig) -> DataSet:
    sizes = data.synthetic
    return DataSet(
        where="synthetic",
        img_size=data.img_size,
        resize=data.resize,
        train_counts=(sizes.train,),
        val_counts=(sizes.val,),
        classes=numbered_classes(sizes.classes),
        fingerprint=fingerprint("synthetic", data.img_size, sizes.train, sizes.val, sizes.classes),
        mean_color=(127.5, 127.5, 127.5),
    )


def _open(data: DataConfig, described: DataSet, split: Split, warn: Warn) -> Source:
    count, size = described.count(split), data.img_size
    rng = np.random.Generator(np.random.Philox(key=SPLITS.index(split)))
    images = rng.integers(0, 256, (min(count, _DISTINCT), size, size, 3), np.uint8)
    labels = rng.integers(0, described.n_classes, count)
    return InMemory(images, labels, img_size=size, resize=data.resize, threads=readers(data.readers))


def _speed_advice(data: DataConfig, cache: Cache) -> str:
    return "synthetic images are only copied within memory: check whether other programs keep the processors busy"


SYNTHETIC = SourceKind(describe=_describe, open=_open, speed_advice=_speed_advice)
