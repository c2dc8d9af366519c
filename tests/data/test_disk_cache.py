"""data.cache disk: images are decoded once, and are always those of the pictures as they are now."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.commands.doctor import run_checks
from lib.config.schema import Config, DataConfig
from lib.data import cache_choice, disk_cache
from lib.data.cache_choice import cache_folder, choose_disk_or_memory, choose_memory, keep_in_memory
from lib.data.disk_cache import INDEX, PIXELS, RECORD
from lib.data.sources.cached_images import CachedImages
from lib.data.sources.registry import SOURCES
from lib.data.sources.speed_advice import SpeedAdvice
from lib.errors import ConfigError, UnavailableError
from tests.support.data_files import WRITERS

COUNT = 24


@pytest.fixture(params=["jpeg_folder", "lmdb"])
def config(tmp_path: Path, request: pytest.FixtureRequest) -> DataConfig:
    WRITERS[request.param](tmp_path / "data")
    return DataConfig(source=request.param, dir=tmp_path / "data", img_size=32, decoders=0, cache="disk")


@pytest.fixture
def pictures(tmp_path: Path) -> DataConfig:
    WRITERS["jpeg_folder"](tmp_path / "data")
    return DataConfig(source="jpeg_folder", dir=tmp_path / "data", img_size=32, decoders=0, cache="disk")


@pytest.fixture(autouse=True)
def always_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "_SCAN_S", -1.0)


class Opened:
    """One split, with the number of pictures that were decoded, and the warnings."""

    def __init__(self, config: DataConfig) -> None:
        self.warnings: list[str] = []
        described = SOURCES[config.source].describe(config)
        source = SOURCES[config.source].open(config, described, "train", self.warnings.append)
        assert isinstance(source, CachedImages)
        self.source, self.decoded = source, 0
        decode = source._decoders.decode

        def counted(names: Any, *more: Any) -> Any:
            self.decoded += len(names)
            return decode(names, *more)

        source._decoders.decode = counted  # type: ignore[assignment, method-assign]

    def read(self, indices: Any = range(COUNT), *, close: bool = True, top: int | None = None) -> np.ndarray:
        rows = 32 if top is None else 20
        out = np.zeros((len(indices), rows, 32, 3), np.uint8)
        self.source.begin_read(np.array(indices), out, None if top is None else [top] * len(indices))()
        if close:
            self.source.close()
        return out


def plain(config: DataConfig) -> np.ndarray:
    uncached = DataConfig(source=config.source, dir=config.dir, img_size=32, decoders=0, cache="none")
    source = SOURCES[config.source].open(uncached, SOURCES[config.source].describe(uncached), "train", print)
    out = np.zeros((COUNT, 32, 32, 3), np.uint8)
    source.read(np.arange(COUNT), out)
    source.close()
    return out


def only(config: DataConfig, suffix: str) -> Path:
    (found,) = [path for path in cache_folder(config, "train").iterdir() if path.suffix == suffix]
    return found


def test_a_second_run_decodes_nothing_and_reads_the_same_bits(config: DataConfig) -> None:
    expected = plain(config)
    first = Opened(config)
    assert np.array_equal(first.read(), expected)
    second = Opened(config)
    assert np.array_equal(second.read(close=False), expected)
    assert np.array_equal(second.read(close=False, top=7), expected[:, 7:27])
    again = second.source
    out = np.zeros((COUNT, 32, 32, 3), np.uint8)
    again.read(np.arange(COUNT), out)
    again.close()
    assert np.array_equal(out, expected)
    assert (first.decoded, second.decoded) == (COUNT, 0)
    assert not first.warnings + second.warnings


def test_the_second_epoch_of_a_run_decodes_nothing(pictures: DataConfig) -> None:
    opened, expected = Opened(pictures), plain(pictures)
    opened.read(close=False)
    opened.source._cache._writer.close()  # everything is written
    assert np.array_equal(opened.read(close=False, top=3), expected[:, 3:23])
    assert opened.decoded == COUNT
    opened.source.close()


def test_two_loaders_fill_a_cache_together(pictures: DataConfig) -> None:
    one, other = Opened(pictures), Opened(pictures)
    one.read(range(10), close=False)
    one.source._cache._writer.close()
    assert np.array_equal(other.read(), plain(pictures))
    assert other.decoded == COUNT - 10
    assert Opened(pictures).read().any()
    one.source.close()


def test_what_an_interrupted_epoch_has_decoded_is_kept(pictures: DataConfig) -> None:
    """A killed loader may leave half a record, and an image without one."""
    Opened(pictures).read(range(12))
    index = only(pictures, INDEX)
    os.truncate(index, 10 * RECORD.itemsize + 5)
    opened = Opened(pictures)
    assert np.array_equal(opened.read(), plain(pictures))
    assert opened.decoded == COUNT - 10
    assert Opened(pictures).read().any()


def test_advice_on_slow_images_says_that_the_first_epoch_fills_the_cache(pictures: DataConfig) -> None:
    advice = SpeedAdvice(pictures, "disk")
    Opened(pictures).read()
    assert advice() == "images are being decoded and kept (data.cache disk); later epochs read them from there"
    Opened(pictures).read()
    assert "set data.cache to memory if they fit there" in advice()
    shutil.rmtree(cache_choice.caches_folder(pictures))  # which is allowed at any time
    assert "set data.cache to memory if they fit there" in advice()


@pytest.mark.parametrize("shorter", [False, True])
def test_damaged_images_are_decoded_again_and_reported_once(pictures: DataConfig, shorter: bool) -> None:
    expected = plain(pictures)
    Opened(pictures).read()
    pixels = only(pictures, PIXELS)
    content = bytearray(pixels.read_bytes())
    for place in (5, 3072 * 3 + 9, 3072 * 23):
        content[place] ^= 1
    pixels.write_bytes(content[: 3072 * 20 - 1] if shorter else content)
    opened = Opened(pictures)
    assert np.array_equal(opened.read(), expected)
    assert opened.decoded == (2 + 5 if shorter else 3)
    assert len(opened.warnings) == 1
    assert opened.warnings[0].endswith("a cached image is damaged; such images are decoded again")
    later = Opened(pictures)
    assert np.array_equal(later.read(), expected)
    assert later.decoded == 0


def test_a_picture_that_has_changed_is_decoded_again(pictures: DataConfig) -> None:
    Opened(pictures).read()
    first, second, *_ = sorted((pictures.dir / "train/n00").iterdir())
    content = first.read_bytes()
    changed = content[:-40] + bytes(byte ^ 1 for byte in content[-40:-39]) + content[-39:]  # of the same size
    first.write_bytes(changed)
    os.utime(second, ns=(1, 1))
    opened = Opened(pictures)
    assert np.array_equal(opened.read(close=False), plain(pictures))
    assert opened.decoded == 2
    first.unlink()
    with pytest.raises(UnavailableError, match="put the image back"):
        opened.read(close=False)
    first.write_bytes(content)
    assert np.array_equal(opened.read(), plain(pictures))


def test_a_broken_picture_is_not_kept_and_found_once_it_is_mended(pictures: DataConfig) -> None:
    path = sorted((pictures.dir / "train/n00").iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(b"no picture".ljust(len(content)))
    for _ in range(2):
        opened = Opened(pictures)
        images = opened.read()
        assert np.array_equal(images[0], images[1])  # the next one of its class
        assert len(opened.warnings) == 1
    path.write_bytes(content)
    mended = Opened(pictures)
    assert np.array_equal(mended.read(), plain(pictures))
    assert mended.decoded == 1


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = os.write

    def write(descriptor: int, content: memoryview) -> int:
        if len(content) == 3072:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_ends_the_caching_and_not_the_reading(pictures: DataConfig) -> None:
    opened = Opened(pictures)
    for _ in range(3):
        assert np.array_equal(opened.read(close=False), plain(pictures))
    opened.source.close()
    assert len(opened.warnings) == 1
    assert "it cannot be written: No space left on device; images are decoded from now on" in opened.warnings[0]


def test_room_is_left_to_others(pictures: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "free_bytes", lambda _: 1.9e9)
    opened = Opened(pictures)
    assert opened.read().any()
    assert "less than 2 GB are free" in opened.warnings[0]


def test_the_choice_follows_the_room(pictures: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    described = SOURCES["jpeg_folder"].describe(pictures)
    automatic = DataConfig(source="jpeg_folder", dir=pictures.dir, img_size=32)
    needed = (COUNT + described.count("val")) * 3072
    for free, memory, choice in ((needed, 0, "disk"), (needed - 1, 2 * needed, "memory"), (0, needed, "none")):
        monkeypatch.setattr(cache_choice, "free_bytes", lambda _, free=free: free + 2e9)
        monkeypatch.setattr(cache_choice, "free_memory", lambda memory=memory: memory)
        chosen, why = choose_disk_or_memory(automatic, described)
        assert chosen == choice
        assert why.startswith(f"{choice}: ")
    with pytest.raises(
        ConfigError, match=r"data.cache disk: decoded images take 0.000 GB, but .*cache has 2.000 GB free"
    ):
        choose_disk_or_memory(pictures, described)
    with pytest.raises(ConfigError, match="packed images are on disk already"):
        choose_memory(pictures, described)
    with pytest.raises(ConfigError, match="data.cache is disk, but images of this data.source are in memory"):
        keep_in_memory(pictures, described)
    assert choose_memory(automatic, described) == keep_in_memory(automatic, described) == ("none", "")


def test_the_doctor_lists_caches_and_how_to_remove_them(pictures: DataConfig) -> None:
    Opened(pictures).read()
    folder = cache_folder(pictures, "train")
    (found,) = [finding for finding in run_checks(Config(data=pictures)) if finding.subject == "cache"]
    assert found.text == f"{folder}: 24 decoded images, 0.000 GB; to remove it: rm -r {folder}"
