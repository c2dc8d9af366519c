"""Pack images into batch files, and compute the mean image in the same pass.

Decodes each image once, on all cores. It can be stopped at any time: started again, it continues with what is missing,
and the result is the same as without a stop.
"""

from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..data.packed.layout import Layout
from ..data.packed.manifest import BatchFile, Manifest, read_manifest
from ..errors import DataError, ResourceError
from ..system.atomic_write import remove_partials
from ..system.worker_pool import WorkerDied, WorkerPool
from ..types import SPLITS, Split
from .buffers import SharedBuffers, allocate_buffers
from .command import say
from .files import lock_folder
from .finish import write_first_manifest, write_lists, write_mean
from .journal import Finished, Journal
from .packed_files import PackedSplit, find_packed, lists_exist
from .packer import PackedFile, Packer
from .progress import PackingProgress
from .settings import Settings
from .skipping import SkipLimit
from .sources import SourceList, Sources, find_sources, record_sources
from .space import bytes_needed, check_space
from .tasks import PackingTask, SumImages
from .toy import draw_toy_images


def make_hkl(settings: Settings) -> None:
    """Make the data set that ``settings`` describe, or what is missing of it."""
    at = settings.layout
    draw_toy_images(settings)
    say("listing the images ...")
    sources = find_sources(settings)
    with lock_folder(at.dir):
        record_sources(at, sources)
        for folder in [at.misc, *(at.batch_dir(split, settings.file_batch_size) for split in SPLITS)]:
            remove_partials(folder)
        manifest = read_manifest(at) if at.manifest.exists() else None
        with Journal(at.journal) as journal:
            packed = {s: find_packed(at, settings.file_batch_size, s, manifest, journal) for s in SPLITS}
            complete = manifest is not None and lists_exist(at) and not any(split.missing for split in packed.values())
            if not complete:
                _make(settings, sources, packed, manifest, journal)
        at.journal.unlink()
    say(f"{'complete already' if complete else 'complete'}: {_summary(at)}")


def _make(
    settings: Settings, sources: Sources, packed: dict[Split, PackedSplit], manifest: Manifest | None, journal: Journal
) -> None:
    """Pack what is missing. Then write the lists, the mean image and the manifest, unless they exist."""
    at, with_mean = settings.layout, manifest is None or not settings.layout.mean.exists()
    left = sum(packed[split].n_left(sources.split(split)) for split in SPLITS)
    n_workers = settings.n_workers(left + (packed["train"].count if with_mean else 0))
    space = check_space(at.dir, bytes_needed(left, settings.img_size, settings.file_batch_size))
    say(f"{left:,} images to pack with {n_workers} workers: {space}")
    total_HWC = np.zeros((settings.img_size, settings.img_size, 3), np.int64)
    buffers = allocate_buffers(settings.img_size, settings.file_batch_size, n_workers)
    try:
        with WorkerPool(
            n_workers, buffers, PackingTask, spare=1
        ) as pool:  # the spare one writes while the others decode
            if with_mean:
                total_HWC += _sum_existing(settings, pool, packed["train"])
            for split in SPLITS:
                total_HWC += _pack_split(settings, pool, buffers, sources.split(split), packed[split], journal)
    except WorkerDied as error:
        raise ResourceError(
            f"{error}; is memory short? Try fewer --workers; started again, packing continues where it stopped"
        ) from None
    write_lists(at, sources, packed)
    if with_mean:
        mean_crc32 = write_mean(at, total_HWC, packed["train"].count)
    if manifest is None:
        write_first_manifest(at, sources, packed, mean_crc32)


def _sum_existing(settings: Settings, pool: WorkerPool[SharedBuffers], train: PackedSplit) -> NDArray[np.int64]:
    """Return the sum over the existing training images, int64 (H, W, 3). Damaged files are marked as missing."""
    shape = (settings.img_size, settings.img_size, 3)
    total_HWC = np.zeros(shape, np.int64)
    present = [file for file in train.files if file not in train.missing]
    if present:
        say(f"summing {len(present)} finished training files ...")
    folder = settings.layout.batch_dir("train", settings.file_batch_size)
    pending = deque((file, pool.submit(SumImages(str(folder / file.name), file.crc32), bytes)) for file in present)
    while pending:  # a result is released once it is added, so only a few are in memory
        file, future = pending.popleft()
        if total := pool.result(future):
            total_HWC += np.frombuffer(total, np.int64).reshape(shape)
        else:
            say(f"{folder / file.name} is damaged, and is made again")
            train.missing.append(file)
    return total_HWC


def _pack_split(
    settings: Settings,
    pool: WorkerPool[SharedBuffers],
    buffers: SharedBuffers,
    source: SourceList,
    packed: PackedSplit,
    journal: Journal,
) -> NDArray[np.int64]:
    """Pack what is missing of one split. Returns the sum over its new training images, int64 (H, W, 3)."""
    at, n_entries = settings.layout, len(source.entries)
    at.batch_dir(source.split, settings.file_batch_size).mkdir(parents=True, exist_ok=True)
    limit = SkipLimit(source, 0.0 if settings.strict else settings.max_skipped, packed.skipped)
    total_HWC = np.zeros((settings.img_size, settings.img_size, 3), np.int64)
    left = packed.n_left(source)
    if left == 0:
        return total_HWC
    with PackingProgress(source.split, n_entries, n_entries - left) as progress:
        packer = Packer(pool, buffers, at, source, settings.resize, progress.add, limit.add)
        for file in packed.missing:
            for made in packer.pack(file.source_start, file.source_stop, packed.files.index(file)):
                if made.written is None or not _is_same(made.written.file, file):
                    raise DataError(
                        f"{at.batch_dir(source.split, settings.file_batch_size) / file.name} cannot be made "
                        "again as it was: the images, or the libraries that decode them, have changed; "
                        f"delete {at.dir} to make all of it again"
                    )
                _add(total_HWC, made)
        for made in packer.pack(packed.next_entry, n_entries, len(packed.files)):
            packed.skipped += made.skipped
            if made.written is not None:
                packed.files.append(made.written.file)
                journal.add(Finished(source.split, made.written.file, made.skipped))
                _add(total_HWC, made)
    return total_HWC


def _is_same(made: BatchFile, recorded: BatchFile) -> bool:
    """Return whether a file is as recorded; older versions did not record offsets."""
    if not recorded.offset:
        made = msgspec.structs.replace(made, offset=0, header_crc32=0)
    return made == recorded


def _add(total_HWC: NDArray[np.int64], made: PackedFile) -> None:
    if made.written is not None and made.written.total:
        total_HWC += np.frombuffer(made.written.total, np.int64).reshape(total_HWC.shape)


def _summary(at: Layout) -> str:
    manifest = read_manifest(at)
    skipped = f"; {manifest.skipped} images skipped, see {at.skipped}" if manifest.skipped else ""
    return (
        f"{manifest.train.count:,} training and {manifest.val.count:,} validation images of "
        f"{manifest.img_size} x {manifest.img_size} in {at.dir}{skipped}"
    )
