"""Only the rows of each crop are read and uploaded. The network sees the bits that it sees of whole images."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.config.schema import AugmentConfig, DataConfig, NormalizeConfig, RunConfig
from lib.data.augment.transform import Transform
from lib.data.dataset import DataSet, read_mean_image
from lib.data.feed import Feed
from lib.data.memory_cache import MemoryCache
from lib.data.order import BatchOrder
from lib.data.plan import Plan
from lib.data.sampler import Sampler
from lib.data.slots import create_slots
from lib.data.sources.registry import SOURCES
from lib.data.worker_count import AdaptiveCount
from lib.ipc.channel import Channel
from lib.roles.loader import serve
from lib.roles.sources import open_split
from lib.types import SPLITS
from tests.support.data_files import write_jpeg_folder
from tests.support.tiny_tree import SIZE, make_all, make_tree, settings_for

ORDER = BatchOrder(seed=3, batch_size=7)
CROP = 21


def plan_of(data: DataSet, augment: AugmentConfig, *, whole: bool) -> Plan:
    return Plan(ORDER, augment, data, rank=0, crop=CROP, whole_images=whole)


@contextmanager
def feed_of(folder: Path, config: DataConfig, data: DataSet, plan: Plan) -> Iterator[Feed]:
    """Yield the feed of one epoch from a loader in a thread."""
    held = MemoryCache(SOURCES[config.source], config, data, print) if config.cache == "memory" else None
    sheet = SimpleNamespace(data=data, cached=held.splits if held else None)
    opening: Any = SimpleNamespace(sheet=sheet, warn=print)
    train, val = (open_split(opening, config, split) for split in SPLITS)
    theirs, ours = (Channel(folder / "socket", bind=bind, peer="the other", patience_s=20) for bind in (True, False))
    context: Any = SimpleNamespace(
        config=SimpleNamespace(data=config, run=RunConfig()), heartbeat=lambda doing, patience_s=None: None, warn=print
    )
    sampler = Sampler(ORDER, data, train.labels, 0)
    loader = threading.Thread(
        target=serve, args=(context, theirs, {"train": train, "val": val}, sampler, AdaptiveCount(2, 2, fixed=True))
    )
    loader.start()
    requests = itertools.chain(plan.training(0), plan.validation(0))
    slots = create_slots(torch.device("cpu"), slots=2, batch_size=7, slot_shape=plan.slot_shape)
    feed = Feed(ours, requests, slots)
    yield feed
    feed.close()
    loader.join(20)
    for source in (train, val):
        source.close()
    theirs.close()


def inputs(
    folder: Path,
    config: DataConfig,
    augment: AugmentConfig,
    *,
    whole: bool,
    normalize: NormalizeConfig | None = None,
) -> tuple[list[Tensor], list[int]]:
    """Return the network's inputs of one epoch, and the rows of the images that were read for each batch."""
    data = SOURCES[config.source].describe(config)
    transform = Transform(augment, normalize or NormalizeConfig(), read_mean_image(data), CROP, torch.device("cpu"))
    found, heights = [], []
    with feed_of(folder, config, data, plan_of(data, augment, whole=whole)) as feed:
        for batch in feed:
            found.append(transform(batch.images_BHWC, batch.params_BV))
            heights.append(batch.images_BHWC.shape[1])
    return found, heights


@pytest.mark.parametrize(
    ("source", "augment", "train_rows"),
    [
        ("hickle", AugmentConfig(), CROP),
        ("hickle", AugmentConfig(per_image=False, crop="center"), CROP),
        ("hickle", AugmentConfig(color_jitter=0.4, erasing=0.5), CROP),
        ("hickle", AugmentConfig(crop="resized"), 32),
        ("hickle", AugmentConfig(pad=4), 32),
        ("jpeg_folder", AugmentConfig(), CROP),
        ("synthetic", AugmentConfig(), CROP),
    ],
)
def test_the_network_sees_the_same_bits(
    tmp_path: Path, data_set: Path, source: str, augment: AugmentConfig, train_rows: int
) -> None:
    if source == "jpeg_folder":
        data_set = tmp_path / "photographs"
        write_jpeg_folder(data_set)
    config = DataConfig(source=source, dir=data_set, img_size=32, decoders=0)
    whole, whole_heights = inputs(tmp_path, config, augment, whole=True)
    got, heights = inputs(tmp_path, config, augment, whole=False)
    assert set(whole_heights) == {32}
    n_val = -(-SOURCES[source].describe(config).count("val") // 7)
    assert heights == [train_rows] * (len(heights) - n_val) + [CROP] * n_val
    assert len(got) == len(whole)
    assert all(torch.equal(a, b) for a, b in zip(got, whole, strict=True))


def test_every_cache_gives_the_network_the_same_bits(tmp_path: Path) -> None:
    write_jpeg_folder(tmp_path / "photographs")
    without = DataConfig(source="jpeg_folder", dir=tmp_path / "photographs", img_size=32, decoders=0, cache="none")
    expected, _ = inputs(tmp_path, without, AugmentConfig(), whole=False)
    for cache in ("disk", "disk", "memory"):  # the second time from the disk
        got, _ = inputs(tmp_path, replace(without, cache=cache), AugmentConfig(), whole=False)
        assert len(got) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_packed_files_hold_the_bits_that_are_decoded_from_the_pictures(tmp_path: Path) -> None:
    """Packing shuffles the training images once, so that their order is another one."""
    tree = make_tree(tmp_path / "pictures")
    of_packed = DataConfig(dir=make_all(settings_for(tree, tmp_path / "packed", resize="crop")), source="hickle")
    of_pictures = replace(of_packed, source="jpeg_folder", dir=tree, img_size=SIZE, resize="crop", decoders=0)

    def images(config: DataConfig) -> list[bytes]:
        augment, normalize = AugmentConfig(crop="center", mirror=False), NormalizeConfig(mean="none")
        batches, _ = inputs(tmp_path, config, augment, whole=False, normalize=normalize)
        return sorted(image.numpy().tobytes() for batch in batches for image in batch)

    packed = images(of_packed)
    for cache in ("none", "disk", "memory"):
        assert images(replace(of_pictures, cache=cache)) == packed
