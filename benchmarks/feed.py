"""Measure the images a second that a loader brings to the device, and those of hickle.load and torch's DataLoader."""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import command, torchnet
from benchmarks.feed_peers import ByDataLoader, by_hickle
from benchmarks.feeding import Feeding, feeding
from benchmarks.harness import Contender, take_turns
from benchmarks.ours import configuration, synchronize
from benchmarks.packed import batch_files, drop_from_cache, pack_noise
from benchmarks.processes import cpu_seconds, resident_bytes


class Loader:
    """The loader of this project, and the resources that its process uses while it is measured."""

    def __init__(self, feeding: Feeding) -> None:
        self._feeding = feeding
        self._cpu_s = self._elapsed_s = 0.0

    def drain(self) -> None:
        """Take the batches that are ready ahead, which would cost no time."""
        for _ in range(self._feeding.slots):
            next(self._feeding.feed)

    def images(self) -> Iterable[Tensor]:
        """Yield batches without end."""
        start, cpu_start = time.perf_counter(), cpu_seconds(self._feeding.pid)
        try:
            for batch in self._feeding.feed:
                yield batch.images_BHWC
        finally:
            self._cpu_s += cpu_seconds(self._feeding.pid) - cpu_start
            self._elapsed_s += time.perf_counter() - start

    def notes(self) -> dict[str, float]:
        """Return the cores and the memory that it uses."""
        memory = resident_bytes(self._feeding.pid)
        return {
            "cores that the loader keeps busy": self._cpu_s / self._elapsed_s,
            "MB of the loader besides its slots": (memory["anonymous"] + memory["file"]) / 1e6,
            "MB of its slots": memory["shared"] / 1e6,
        }


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    arguments = _parse(argv)
    device = torch.device("cuda" if command.has_gpu() else "cpu")
    size = arguments.batch_size
    if arguments.torchnet:
        with tempfile.TemporaryDirectory(prefix="feed-", dir=arguments.scratch) as place:
            command.show("feed", arguments, torchnet.measure(arguments, Path(place), device))
        return 0
    with contextlib.ExitStack() as stack:
        folder = arguments.data
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="feed-", dir=arguments.scratch)
            folder = Path(stack.enter_context(scratch)) / "data"
            pack_noise(folder, train=arguments.images, val=1, img_size=arguments.img_size)
        files = batch_files(folder, "train")
        keys = ["--data.source", "hickle", "--data.dir", str(folder), "--batch_size", str(size), *arguments.keys]
        loader = Loader(stack.enter_context(feeding(configuration(keys), device)))
        data_loader = ByDataLoader(
            files, batch_size=size, images=arguments.images, workers=arguments.workers, device=device
        )
        one_turn = partial(turn, arguments=arguments, folder=folder, device=device)
        contenders = [
            Contender("loader", lambda: one_turn(loader.images, before=loader.drain)),
            Contender("hickle.load, pageable copy", lambda: one_turn(lambda: by_hickle(files, device))),
            Contender(f"torch DataLoader, {arguments.workers} workers", lambda: one_turn(lambda: data_loader)),
        ]
        for contender in contenders:
            contender.turn()  # warm up: files come into the page cache, processes start
        rows = take_turns("", "images/s", contenders, arguments.rounds)
        command.show("feed", arguments, rows, loader.notes())
    return 0


def turn(
    batches: Callable[[], Iterable[Tensor]],
    *,
    arguments: argparse.Namespace,
    folder: Path,
    device: torch.device,
    before: Callable[[], None] = lambda: None,
) -> float:
    """Read ``--images`` images. Returns images a second."""
    if arguments.cold:
        drop_from_cache(folder)  # before draining: the batches that follow are read at once
    before()
    synchronize(device)
    start, count = time.perf_counter(), 0
    for images_BHWC in batches():
        count += len(images_BHWC)
        if count >= arguments.images:
            break
    synchronize(device)
    return count / (time.perf_counter() - start)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpu = command.has_gpu()
    parser = command.parser("feed", __doc__, rounds=5)
    parser.add_argument("--data", type=Path, help="a packed data set; none: noise is packed")
    parser.add_argument(
        "--images", type=command.positive, default=16384 if gpu else 1024, help="images in a turn, and packed"
    )
    parser.add_argument("--batch_size", type=command.positive, default=128, help="images a batch")
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the packed images")
    parser.add_argument("--workers", type=int, default=min(8, len(os.sched_getaffinity(0))), help="of the DataLoader")
    parser.add_argument("--cold", action="store_true", help="drop the files from the page cache before each turn")
    parser.add_argument("--torchnet", action="store_true", help="run the benchmark of torchnet's README instead")
    parser.add_argument("--scratch", type=Path, help="folder to pack noise in; none: the folder for temporary files")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
