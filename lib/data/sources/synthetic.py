"""``data.source: synthetic``: random images made once, for first runs and for measuring without a disk."""

import numpy as np

from lib.config.schema import DataConfig
from lib.data.dataset import DataSet, numbered_classes
from lib.data.index import fingerprint
from lib.data.sources.base import Say, Source, SourceKind
from lib.data.sources.in_memory import InMemory
from lib.types import Split

# Images that differ; more than these would cost memory and show nothing new.
_DIFFERENT = 256


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
        mean_value=127.5,
    )


def _open(data: DataConfig, described: DataSet, split: Split, say: Say) -> Source:
    count, size = described.count(split), data.img_size
    rng = np.random.Generator(np.random.Philox(key=("train", "val").index(split)))
    images = rng.integers(0, 256, (min(count, _DIFFERENT), size, size, 3), np.uint8)
    labels = rng.integers(0, described.n_classes, count)
    return InMemory(images, labels, img_size=size, resize=data.resize, threads=data.readers)


def _faster(data: DataConfig) -> str:
    return "synthetic images are only copied within memory: see whether other programs keep the processors busy"


SYNTHETIC = SourceKind(describe=_describe, open=_open, faster=_faster)
