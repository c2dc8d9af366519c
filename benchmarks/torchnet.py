"""The benchmark of torchnet's README: seconds for a batch of 128 of either split, from disk and from memory.

A batch counts once it is cropped, mirrored and normalized on the device. CIFAR-10 is read into memory when a run
starts, so it is measured only from there. Source of the published figures: README of farrajota's multi-gpu-torchnet,
4 threads.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.feeding import Feeding, feeding
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import configuration, synchronize
from benchmarks.packed import drop_from_cache, pack_noise
from lib.config.schema import Config
from lib.data.augment.transform import Transform
from lib.data.dataset import read_mean_image
from lib.types import SPLITS

_BATCH = 128
_PUBLISHED = {
    ("cifar10", "train", "memory"): 0.00772,
    ("cifar10", "val", "memory"): 0.00557,
    ("imagenet", "train", "disk"): 0.34635,
    ("imagenet", "train", "memory"): 0.34553,
    ("imagenet", "val", "disk"): 0.35729,
    ("imagenet", "val", "memory"): 0.36107,
}
_CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


def measure(arguments: argparse.Namespace, folder: Path, device: torch.device) -> list[Row]:
    """Measure each published case. The published figure, of 2017 and another machine, is the first peer."""
    images = arguments.images
    pack_noise(folder / "imagenet", train=images, val=images, img_size=arguments.img_size)
    write_cifar10(folder / "cifar10", images)
    sources = {
        "cifar10": ["--data.source", "cifar10", "--data.img_size", "32", "--model.name", "tiny"],
        "imagenet": ["--data.source", "hickle"],
    }
    rows: list[Row] = []
    for name, keys in sources.items():
        common = [*keys, "--data.dir", str(folder / name), "--batch_size", str(_BATCH)]
        config = configuration([*common, *arguments.keys])
        for split in SPLITS:
            with feeding(config, device, split) as fed:
                apply = transform(config, fed, device)
                for where in (where for where in ("disk", "memory") if (name, split, where) in _PUBLISHED):
                    before = partial(drop_from_cache, folder / name) if where == "disk" else _nothing
                    ours = partial(seconds_a_batch, fed, apply, before, images // _BATCH, device)
                    published = partial(float, _PUBLISHED[name, split, where])
                    contenders = [Contender("ours", ours), Contender("torchnet README", published)]
                    contenders[0].turn()
                    rows += take_turns(f"{name}, {split}, {where}", "s", contenders, arguments.rounds)
    return rows


def transform(config: Config, fed: Feeding, device: torch.device) -> Transform:
    """Return the transform of a run with this configuration."""
    return Transform(config.augment, config.normalize, read_mean_image(fed.data), fed.crop, device)


def seconds_a_batch(
    fed: Feeding, apply: Transform, before: Callable[[], None], batches: int, device: torch.device
) -> float:
    """Return the seconds a batch, without those batches that were ready ahead."""
    before()  # before draining: the batches that follow are read at once
    for _ in range(fed.slots):
        next(fed.feed)
    synchronize(device)
    start = time.perf_counter()
    for batch in islice(fed.feed, batches):
        apply(batch.images_BHWC, batch.params_BV)
    synchronize(device)
    return (time.perf_counter() - start) / batches


def write_cifar10(folder: Path, images: int) -> None:
    """Write random records in the published format, ``images`` in each split."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in _CIFAR_FILES:
        count = images if name.startswith("test") else -(-images // 5)
        records = rng.integers(0, 256, (count, 1 + 3 * 32 * 32), np.uint8)
        records[:, 0] %= 10
        (folder / name).write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("".join(f"class{i}\n" for i in range(10)), encoding="utf-8")


def _nothing() -> None:
    pass
