"""Images a second that a loader brings into device memory; beside it, hickle.load and torch's DataLoader."""

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
from benchmarks.packed import batch_files, forget, pack_noise
from benchmarks.processes import cpu_seconds, resident_bytes


class Loader:
    """Our loader, and what its process uses while it is measured."""

    def __init__(self, feeding: Feeding) -> None:
        self._feeding = feeding
        self._cpu_s = self._elapsed_s = 0.0

    def drain(self) -> None:
        """Take what is ready ahead, which would come for nothing."""
        for _ in range(self._feeding.slots):
            next(self._feeding.feed)

    def images(self) -> Iterable[Tensor]:
        """Batch after batch, as long as somebody wants them."""
        began, cpu_began = time.perf_counter(), cpu_seconds(self._feeding.pid)
        try:
            for batch in self._feeding.feed:
                yield batch.images_BHWC
        finally:
            self._cpu_s += cpu_seconds(self._feeding.pid) - cpu_began
            self._elapsed_s += time.perf_counter() - began

    def notes(self) -> dict[str, float]:
        """Cores and memory."""
        memory = resident_bytes(self._feeding.pid)
        return {
            "cores that the loader keeps busy": self._cpu_s / self._elapsed_s,
            "MB of the loader besides its slots": (memory["anonymous"] + memory["file"]) / 1e6,
            "MB of its slots": memory["shared"] / 1e6,
        }


def main(argv: Sequence[str]) -> int:
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
        torchs = ByDataLoader(files, batch_size=size, images=arguments.images, workers=arguments.workers, device=device)
        one = partial(turn, arguments=arguments, folder=folder, device=device)
        ways = [
            Contender("loader", lambda: one(loader.images, before=loader.drain)),
            Contender("hickle.load, pageable copy", lambda: one(lambda: by_hickle(files, device))),
            Contender(f"torch DataLoader, {arguments.workers} workers", lambda: one(lambda: torchs)),
        ]
        for way in ways:
            way.turn()  # files come into memory, processes start
        rows = take_turns("", "images/s", ways, arguments.rounds)
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
    """Images a second over ``--images`` of them."""
    if arguments.cold:
        forget(folder)  # before what is ready is drained: what takes its place is read at once
    before()
    synchronize(device)
    began, count = time.perf_counter(), 0
    for images_BHWC in batches():
        count += len(images_BHWC)
        if count >= arguments.images:
            break
    synchronize(device)
    return count / (time.perf_counter() - began)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpu = command.has_gpu()
    parser = command.parser("feed", __doc__, rounds=5)
    parser.add_argument("--data", type=Path, help="a packed data set; none: noise is packed")
    parser.add_argument("--images", type=command.positive, default=16384 if gpu else 1024, help="in a turn, and packed")
    parser.add_argument("--batch_size", type=command.positive, default=128, help="images a batch")
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the packed images")
    parser.add_argument("--workers", type=int, default=min(8, len(os.sched_getaffinity(0))), help="of the DataLoader")
    parser.add_argument("--cold", action="store_true", help="before each turn the kernel is to forget the files")
    parser.add_argument("--torchnet", action="store_true", help="instead: the measure of the torchnet README")
    parser.add_argument("--scratch", type=Path, help="folder to pack noise in; none: that for temporary files")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
