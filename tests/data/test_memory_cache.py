"""data.cache memory: the images of the files, once for all workers, within the memory that is free."""

import ctypes
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lib.commands.run import choose_cache, memory_cache
from lib.config.schema import Config, DataConfig, RunConfig
from lib.data import memory_cache as module
from lib.data.cached_upload import row_addresses
from lib.data.sources.registry import SOURCES
from lib.data.worker_count import AdaptiveCount
from lib.errors import ConfigError
from lib.ipc import shared_memory
from lib.ipc.channel import Channel
from lib.ipc.messages import Fill, Filled, Stop
from lib.roles.loader import serve
from lib.roles.sources import open_split
from lib.types import SPLITS
from tests.support.data_files import WRITERS

TRAINER = [("loader", 0), ("trainer", 0)]


def config_of(source: str, folder: Path, cache: str = "memory") -> Config:
    return Config(data=DataConfig(source=source, dir=folder, img_size=32, decoders=0, cache=cache))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["hickle", "jpeg_folder", "lmdb"])
def test_loaders_find_the_images_of_the_files(
    tmp_path: Path, data_set: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if source != "hickle":
        data_set = tmp_path / "files"
        WRITERS[source](data_set)
    config = config_of(source, data_set)
    data = SOURCES[source].describe(config.data)
    cache = memory_cache(config, data)
    gigabytes = (data.count("train") + data.count("val")) * 32 * 32 * 3 / 1e9
    assert f"data.cache memory: reading {gigabytes:.3f} GB for" in capsys.readouterr().out
    for split in SPLITS:
        context: Any = SimpleNamespace(sheet=SimpleNamespace(data=data, cached=cache.splits))
        cached, plain = open_split(context, config.data, split), SOURCES[source].open(config.data, data, split, print)
        assert np.array_equal(cached.labels, plain.labels)
        indices = np.random.default_rng(0).integers(0, data.count(split), 9)
        got, expected = np.zeros((2, 9, 20, 32, 3), np.uint8)
        for opened, out in ((cached, got), (plain, expected)):
            opened.begin_read(indices, out, list(range(9)))()
            opened.close()
        assert np.array_equal(got, expected)
        assert expected.any()


def test_what_does_not_fit_is_refused_with_the_figures(data_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("hickle", data_set)
    data = SOURCES["hickle"].describe(config.data)
    needed = 68 * 32 * 32 * 3
    monkeypatch.setattr(module, "free_memory", lambda: needed / 0.91)
    with pytest.raises(ConfigError, match=r"data.cache memory needs 0.000 GB for 68 images of .* of which 90% may be"):
        memory_cache(config, data)
    monkeypatch.setattr(module, "free_memory", lambda: needed / 0.89)
    assert memory_cache(config, data).splits


def test_only_trainings_keep_images(data_set: Path) -> None:
    config = config_of("hickle", data_set)
    data = SOURCES["hickle"].describe(config.data)
    assert choose_cache(config, data, TRAINER) == "memory"
    assert choose_cache(config, data, [("loader", 0), ("validator", 0)]) == "none"
    assert choose_cache(config_of("hickle", data_set, "none"), data, TRAINER) == "none"
    assert choose_cache(config_of("hickle", data_set, "auto"), data, TRAINER) == "none"
    with pytest.raises(ConfigError, match="images of this data.source are in memory; set it to auto"):
        choose_cache(config_of("synthetic", data_set), data, TRAINER)


def test_under_torchrun_each_worker_would_hold_the_images(data_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("hickle", data_set)
    data = SOURCES["hickle"].describe(config.data)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match="data.cache memory would hold the images 4 times under torchrun"):
        memory_cache(config, data)


@pytest.mark.parametrize("rows", [0, 5])
def test_gpus_copy_the_rows_of_their_crops(rows: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    indices, tops = np.array([5, 0, 3]), (3, 0, 1) if rows else ()
    out = np.zeros((3, rows or 8, 8, 3), np.uint8)
    for target, source in zip(out, row_addresses(images, indices, tops), strict=True):
        ctypes.memmove(target.ctypes.data, source, target.nbytes)
    expected = [images[i, top : top + (rows or 8)] for i, top in zip(indices, tops or (0, 0, 0), strict=True)]
    assert np.array_equal(out, expected)


def test_a_loader_only_tells_which_images_make_a_batch_where_a_gpu_copies_them(tmp_path: Path) -> None:
    theirs, ours = (Channel(tmp_path / "socket", bind=bind, peer="the other", patience_s=20) for bind in (True, False))
    indices, handle = shared_memory.create("indices", (2, 4), "int64")
    labels, labels_handle = shared_memory.create("labels", (2, 4), "int64")
    for message in (handle, labels_handle, Fill(1, "train", 0, 3, rows=5, tops=(1, 2, 3)), Stop()):
        ours.send(message)
    chosen = np.array([7, 0, 5])
    source: Any = SimpleNamespace(labels=np.arange(8) * 10, resize=None)  # it cannot read
    sampler: Any = SimpleNamespace(indices=lambda *at: chosen)
    context: Any = SimpleNamespace(
        config=SimpleNamespace(data=DataConfig(), run=RunConfig()), heartbeat=lambda doing, patience_s=None: None
    )
    loader = threading.Thread(
        target=serve, args=(context, theirs, {"train": source}, sampler, AdaptiveCount(1, 1, fixed=True))
    )
    loader.start()
    assert ours.receive(Filled, Stop) in (Filled(1, 3, 3), Stop())
    loader.join(20)
    assert indices[1, :3].tolist() == [7, 0, 5]
    assert labels[1, :3].tolist() == [70, 0, 50]
    for channel in (theirs, ours):
        channel.close()
