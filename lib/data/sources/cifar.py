"""``data.source: cifar10, cifar100``: the published binary files, 32 x 32.

    data_batch_1.bin ... data_batch_5.bin, test_batch.bin, batches.meta.txt      CIFAR-10
    train.bin, test.bin, fine_label_names.txt                                    CIFAR-100

A record is one label byte (CIFAR-100: a coarse one, then the fine one that is used) and 3 x 32 x 32 bytes of pixels.
Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from pathlib import Path

import numpy as np

from ...errors import DataError
from ...types import Split
from .array_dataset import Images, array_dataset, concatenate, read_file, read_names

_SIDE = 32


def _read(path: Path, name: str, label_bytes: int) -> Images:
    data = np.frombuffer(read_file(path, name), np.uint8)
    record = label_bytes + 3 * _SIDE * _SIDE
    if len(data) == 0 or len(data) % record:
        raise DataError(f"{path} has {len(data):,} bytes, not a multiple of {record}: it is not a file of {name}")
    records = data.reshape(-1, record)
    images = records[:, label_bytes:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, label_bytes - 1].astype(np.int64)


def _read_10(dir: Path, split: Split) -> Images:
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] if split == "train" else ["test_batch.bin"]
    return concatenate([_read(dir / name, "CIFAR-10", 1) for name in names])


def _read_100(dir: Path, split: Split) -> Images:
    return _read(dir / ("train.bin" if split == "train" else "test.bin"), "CIFAR-100", 2)


CIFAR10 = array_dataset("cifar10", _read_10, lambda dir: read_names(dir / "batches.meta.txt", "CIFAR-10", 10))
CIFAR100 = array_dataset("cifar100", _read_100, lambda dir: read_names(dir / "fine_label_names.txt", "CIFAR-100", 100))
