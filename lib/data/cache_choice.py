"""Where decoded images are kept: ``data.cache``, chosen by the room that there is, and the caches that exist."""

import contextlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

from ..config.schema import DataConfig
from ..errors import ConfigError
from ..system.disk import free_bytes
from ..system.memory import free_memory
from ..types import SPLITS, Split
from .dataset import DataSet
from .disk_cache import INDEX, PIXELS, RECORD, RESERVE_BYTES
from .index import fingerprint
from .packed.layout import layout

Cache = Literal["none", "disk", "memory"]

# What is chosen without being asked for takes no more of the free memory than this.
_MAX_AUTO_SHARE = 0.5


class FoundCache(NamedTuple):
    """A cache on disk."""

    folder: Path
    images: int
    n_bytes: int


def caches_folder(data: DataConfig) -> Path:
    """Return the folder of all caches of a data set. It may be removed at any time."""
    return layout(data.dir, data.misc_dir).misc / "cache"


def cache_folder(data: DataConfig, split: Split) -> Path:
    """Return the folder of the images of one split, of this size, made by this way and version of decoding."""
    made_by = [f"{package} {version(package)}" for package in ("simplejpeg", "pillow")]
    return caches_folder(data) / f"{split}_{data.img_size}_{data.resize}_{fingerprint(made_by)[:8]}"


def found_caches(data: DataConfig) -> Iterator[FoundCache]:
    """Yield the caches of a data set."""
    for folder in sorted(path for path in caches_folder(data).glob("*") if path.is_dir()):
        sizes = {path: path.stat().st_size for path in folder.iterdir() if path.suffix in (INDEX, PIXELS)}
        images = sum(size // RECORD.itemsize for path, size in sizes.items() if path.suffix == INDEX)
        yield FoundCache(folder, images, sum(sizes.values()))


def cached_bytes(data: DataConfig) -> int:
    """Return the bytes of all caches of a data set, or 0 if they cannot be read, e.g. while somebody removes them."""
    with contextlib.suppress(OSError):
        return sum(cache.n_bytes for cache in found_caches(data))
    return 0


def disk_advice(data: DataConfig) -> str:
    """Return what makes reading from a cache on disk faster."""
    fixed = "" if data.readers == "auto" else f"raise data.readers (now {data.readers}), "
    return (
        f"decoded images are read from {caches_folder(data)}: {fixed}set data.cache to memory if they fit there, or "
        "put data.misc_dir on a faster disk"
    )


def memory_advice(data: DataConfig) -> str:
    """Return what makes reading from ``data.cache: memory`` faster."""
    fixed = "" if data.readers == "auto" else f"raise data.readers (now {data.readers}), or "
    return f"images are only copied within memory: {fixed}check whether other programs keep the processors busy"


def keep_in_memory(data: DataConfig, described: DataSet) -> tuple[Cache, str]:
    """Choose for a source whose images are in memory anyway: there is nothing to keep."""
    if data.cache != "auto":
        raise ConfigError(f"data.cache is {data.cache}, but images of this data.source are in memory; set it to auto")
    return "none", ""


def choose_memory(data: DataConfig, described: DataSet) -> tuple[Cache, str]:
    """Choose for a source whose images are on disk as they are needed: keep them in memory only if asked to."""
    if data.cache == "disk":
        raise ConfigError("data.cache is disk, but packed images are on disk already; set it to auto or memory")
    return ("memory", "") if data.cache == "memory" else ("none", "")


def choose_disk_or_memory(data: DataConfig, described: DataSet) -> tuple[Cache, str]:
    """Choose for a source whose images are decoded, by the room that there is. ConfigError: no room on the disk."""
    if data.cache == "memory":
        return "memory", ""
    n_bytes = sum(described.count(split) for split in SPLITS) * data.img_size**2 * 3
    size, folder = f"{n_bytes / 1e9:,.3f} GB", caches_folder(data)
    there = sum(cache.n_bytes for cache in found_caches(data))
    free = free_bytes(folder)
    if n_bytes <= there + free - RESERVE_BYTES:
        return "disk", f"disk: decoded images are kept in {folder}, up to {size} of {free / 1e9:,.3f} GB that are free"
    text = f"decoded images take {size}, but {folder} has {free / 1e9:,.3f} GB free"
    if data.cache == "disk":
        raise ConfigError(
            f"data.cache disk: {text}, of which {RESERVE_BYTES / 1e9:g} are left to others; make room, name another "
            "disk with --data.misc_dir, or set data.cache to auto"
        )
    if n_bytes <= _MAX_AUTO_SHARE * free_memory():
        return "memory", f"memory: {text}"
    return "none", f"none: {text}, and memory is short: every epoch decodes them again"
