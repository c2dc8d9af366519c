"""Measure the images a second that make_hkl packs, on one core and on all, and those of Pillow in one process."""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks import command
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.photographs import draw_photographs
from benchmarks.processes import cpu_seconds
from lib.data.images.listing import list_images
from lib.data.packed.layout import layout
from lib.packing.buffers import allocate_buffers
from lib.packing.packer import Packer
from lib.packing.sources import SourceList
from lib.packing.tasks import PackingTask
from lib.system.worker_pool import WorkerPool

_FILE_BATCH_SIZE = 256
_DRAWN = 90


class Packing:
    """What make_hkl does once its workers run: decode, collect, write, and sum for the mean image."""

    def __init__(self, source: SourceList, folder: Path, img_size: int, workers: int) -> None:
        self.images_per_cpu_s: list[float] = []
        self._at = layout(folder)
        self._at.batch_dir("train", _FILE_BATCH_SIZE).mkdir(parents=True)
        self._source, self._buffers = source, allocate_buffers(img_size, _FILE_BATCH_SIZE, workers)
        self._pool = WorkerPool(workers, self._buffers, PackingTask, spare=1)

    def images_per_s(self) -> float:
        """Pack the whole source once, and remove the files. Returns the rate."""
        start, cpu_start = time.perf_counter(), self._cpu_s()
        packer = Packer(self._pool, self._buffers, self._at, self._source, "squash", lambda number: None, print)
        packed = list(packer.pack(0, len(self._source.entries), 0))
        count = sum(one.written.file.count for one in packed if one.written)
        elapsed = time.perf_counter() - start
        self.images_per_cpu_s.append(count / (self._cpu_s() - cpu_start))
        for file in self._at.batch_dir("train", _FILE_BATCH_SIZE).iterdir():
            file.unlink()
        return count / elapsed

    def close(self) -> None:
        """End the workers."""
        self._pool.close()

    def _cpu_s(self) -> float:
        return time.process_time() + sum(map(cpu_seconds, self._pool.pids))


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    arguments = _parse(argv)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="preprocess-", dir=arguments.scratch))
        source = find_source(arguments.images or drawn(Path(folder)), arguments.count)
        packings = {}
        for workers in arguments.workers:
            with cores(workers):
                packing = Packing(source, Path(folder) / str(workers), arguments.img_size, workers)
            stack.callback(packing.close)
            packing.images_per_s()  # warm up: files are in the page cache, workers have imported everything
            packing.images_per_cpu_s.clear()
            packings[f"make_hkl, {workers} {'core' if workers == 1 else 'cores'}"] = packing
        rows = measure(arguments, source, packings)
    notes = {f"images per CPU second, {name}": median(packing.images_per_cpu_s) for name, packing in packings.items()}
    medians = {row.name: row.median for row in rows}
    first, *rest = packings
    notes |= {f"{name} over {first}": medians[name] / medians[first] for name in rest}
    command.show("preprocess", arguments, rows, notes)
    return 0


def measure(arguments: argparse.Namespace, source: SourceList, packings: dict[str, Packing]) -> list[Row]:
    """Measure all in turns. The first peer, Pillow, gets few images, as it is slow."""
    files = [(source.root / entry.name).read_bytes() for entry in source.entries[: arguments.peer_count]]
    ways: dict[str, Callable[[bytes], object]] = {
        "Pillow: open, resize, numpy": lambda data: by_pillow(data, arguments.img_size),
        "simplejpeg: decoding alone": simplejpeg.decode_jpeg,
    }
    peers = [Contender(name, partial(decode_all, way, files)) for name, way in ways.items()]
    first, *rest = [Contender(name, packing.images_per_s) for name, packing in packings.items()]
    return take_turns("", "images/s", [first, *peers, *rest], arguments.rounds)


def decode_all(decode: Callable[[bytes], object], files: Sequence[bytes]) -> float:
    """Decode one file after the other. Returns images a second."""
    start = time.perf_counter()
    for data in files:
        decode(data)
    return len(files) / (time.perf_counter() - start)


def by_pillow(data: bytes, size: int) -> object:
    """Decode and resize as a simple script does."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def find_source(folder: Path, count: int) -> SourceList:
    """Return ``count`` images of ``folder``, repeated if it has fewer."""
    return SourceList("train", folder, list(islice(cycle(list_images(folder).entries), count)))


def drawn(folder: Path) -> Path:
    """Draw photographs into a folder, and return it."""
    draw_photographs(folder / "images", _DRAWN)
    return folder / "images"


@contextlib.contextmanager
def cores(count: int) -> Iterator[None]:
    """Let processes that are started in the block use only ``count`` of the available cores."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    all_cores = len(os.sched_getaffinity(0))
    parser = command.parser("preprocess", __doc__, rounds=3)
    parser.add_argument("--images", type=Path, help="folder of images, as train_img_dir; none: photographs are drawn")
    parser.add_argument("--count", type=command.positive, default=256 * max(4, all_cores), help="images in a turn")
    parser.add_argument("--peer_count", type=command.positive, default=200, help="images in a turn of the peers")
    workers = sorted({1, all_cores})
    parser.add_argument(
        "--workers", type=command.positive, nargs="+", default=workers, help="numbers of workers of make_hkl"
    )
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the packed images")
    parser.add_argument("--scratch", type=Path, help="folder to write to; none: the folder for temporary files")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
