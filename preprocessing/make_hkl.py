"""Pack the pictures into batch files, and compute the mean image in the same pass.

Decodes each picture once, on all cores. Stopped at any time and started again, it goes on with what is
missing, and the result is the same as if it had never been stopped.
"""

import sys
from collections import deque

import numpy as np
from numpy.typing import NDArray

from lib.data.packed.layout import Layout, Manifest, read_manifest
from lib.errors import DataError
from lib.types import SPLITS, Split
from preprocessing.command import run, say
from preprocessing.files import claimed
from preprocessing.finish import write_first_manifest, write_lists, write_mean
from preprocessing.journal import Finished, Journal
from preprocessing.made import SplitState, find_packed, lists_exist, remove_partials
from preprocessing.packing import PackedFile, Packer
from preprocessing.pool import WorkerPool
from preprocessing.progress import PackingProgress
from preprocessing.settings import Settings
from preprocessing.skipping import SkipLimit
from preprocessing.sources import SourceList, Sources, find_sources, record_sources
from preprocessing.space import bytes_needed, check_space
from preprocessing.tasks import SharedBuffers, SumImages, allocate_buffers
from preprocessing.toy import draw_toy_images
from preprocessing.val_labels import check_val_labels


def make_hkl(settings: Settings) -> None:
    """Make the data set that ``settings`` describe, or what is missing of it."""
    at = settings.layout
    draw_toy_images(settings)
    say("listing the pictures ...")
    sources = find_sources(settings)
    check_val_labels(settings, sources)
    with claimed(at.dir):
        record_sources(at, sources)
        remove_partials(at, settings.file_batch_size)
        manifest = read_manifest(at) if at.manifest.exists() else None
        with Journal(at.journal) as journal:
            made = {s: find_packed(at, settings.file_batch_size, s, manifest, journal) for s in SPLITS}
            whole = manifest is not None and lists_exist(at) and not any(m.missing for m in made.values())
            if not whole:
                _make(settings, sources, made, manifest, journal)
        at.journal.unlink()
    say(f"{'complete already' if whole else 'complete'}: {_summary(at)}")


def _make(
    settings: Settings, sources: Sources, made: dict[Split, SplitState], manifest: Manifest | None, journal: Journal
) -> None:
    """Pack what is missing; then write lists, mean and manifest, in so far as they are missing too."""
    at, n_workers = settings.layout, settings.n_workers
    left = sum(made[split].left(sources.split(split)) for split in SPLITS)
    figures = check_space(at.dir, bytes_needed(left, settings.img_size, settings.file_batch_size))
    say(f"{left:,} pictures to pack with {n_workers} workers: {figures}")
    with_mean = manifest is None or not at.mean.exists()
    total_HWC = np.zeros((settings.img_size, settings.img_size, 3), np.int64)
    buffers = allocate_buffers(settings.img_size, settings.file_batch_size, n_workers)
    with WorkerPool(n_workers, buffers, spare=1) as pool:  # the spare one writes while the others decode
        if with_mean:
            total_HWC += _add_up(settings, pool, made["train"])
        for split in SPLITS:
            total_HWC += _pack_split(settings, pool, buffers, sources.split(split), made[split], journal)
    buffers.close()
    write_lists(at, sources, made)
    if with_mean:
        mean_crc32 = write_mean(at, total_HWC, made["train"].count)
    if manifest is None:
        write_first_manifest(at, sources, made, mean_crc32)


def _add_up(settings: Settings, pool: WorkerPool[SharedBuffers], train: SplitState) -> NDArray[np.int64]:
    """The sum over the training images there are, int64 (H, W, 3).

    A file whose bytes are not right becomes a missing one.
    """
    total_HWC = np.zeros((settings.img_size, settings.img_size, 3), np.int64)
    present = [file for file in train.files if file not in train.missing]
    if present:
        say(f"adding up {len(present)} finished training files ...")
    folder = settings.layout.batch_dir("train", settings.file_batch_size)
    tickets = deque((file, pool.submit(SumImages(folder / file.name, file.crc32))) for file in present)
    while tickets:  # each is let go once it is added, so that only a few are in memory
        file, future = tickets.popleft()
        part_HWC = pool.result(future)
        if part_HWC is None:
            say(f"{folder / file.name} is damaged, and is made again")
            train.missing.append(file)
        else:
            total_HWC += part_HWC
    return total_HWC


def _pack_split(
    settings: Settings,
    pool: WorkerPool[SharedBuffers],
    buffers: SharedBuffers,
    source: SourceList,
    made: SplitState,
    journal: Journal,
) -> NDArray[np.int64]:
    """Pack what is missing of one split; the sum over its new training images, int64 (H, W, 3)."""
    at, n_entries = settings.layout, len(source.entries)
    at.batch_dir(source.split, settings.file_batch_size).mkdir(parents=True, exist_ok=True)
    limit = SkipLimit(source, 0.0 if settings.strict else settings.max_skipped, made.skipped)
    total_HWC = np.zeros((settings.img_size, settings.img_size, 3), np.int64)
    left = made.left(source)
    if left == 0:
        return total_HWC
    with PackingProgress(source.split, n_entries, n_entries - left) as progress:
        packer = Packer(pool, buffers, at, source, settings.resize, progress.add, limit.add)
        for file in made.missing:
            for packed in packer.pack(file.source_start, file.source_stop, made.files.index(file)):
                if packed.written is None or packed.written.file != file:
                    raise DataError(
                        f"{at.batch_dir(source.split, settings.file_batch_size) / file.name} cannot be made "
                        "again as it was: the pictures, or the libraries that decode them, have changed; "
                        f"delete {at.dir} to make all of it anew"
                    )
                _add(total_HWC, packed)
        for packed in packer.pack(made.next_entry, n_entries, len(made.files)):
            made.skipped += packed.skipped
            if packed.written is not None:
                made.files.append(packed.written.file)
                journal.add(Finished(source.split, packed.written.file, packed.skipped))
                _add(total_HWC, packed)
    return total_HWC


def _add(total_HWC: NDArray[np.int64], packed: PackedFile) -> None:
    if packed.written is not None and packed.written.total is not None:
        total_HWC += packed.written.total


def _summary(at: Layout) -> str:
    manifest = read_manifest(at)
    skipped = f"; {manifest.skipped} pictures left out, see {at.skipped}" if manifest.skipped else ""
    return (
        f"{manifest.train.count:,} training and {manifest.val.count:,} validation images of "
        f"{manifest.img_size} x {manifest.img_size} in {at.dir}{skipped}"
    )


if __name__ == "__main__":
    sys.exit(run("make_hkl", "Pack the pictures into batch files, and compute the mean image.", make_hkl))
