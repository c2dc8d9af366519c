"""Measure the images a second that a loader brings to the device, and those of hickle.load and torch's DataLoader.

From photographs the others are torch's DataLoader, with torchvision's decoder where that is installed, and SPDL.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks import command, feed_jpeg, torchnet
from benchmarks.feed_peers import ByDataLoader, by_hickle
from benchmarks.feed_turn import Loader, turn
from benchmarks.feeding import feeding
from benchmarks.harness import Contender, take_turns
from benchmarks.ours import configuration
from benchmarks.packed import batch_files, pack_noise


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    arguments = _parse(argv)
    device = torch.device("cuda" if command.has_gpu() else "cpu")
    size = arguments.batch_size
    if arguments.read_from == "jpeg":
        with tempfile.TemporaryDirectory(prefix="feed-", dir=arguments.scratch) as place:
            command.show("feed", arguments, *feed_jpeg.measure(arguments, Path(place), device))
        return 0
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


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpu = command.has_gpu()
    parser = command.parser("feed", __doc__, rounds=5)
    parser.add_argument(
        "--from", dest="read_from", choices=("packed", "jpeg"), default="packed", help="batch files, or photographs"
    )
    parser.add_argument(
        "--data", type=Path, help="a packed data set, or a folder of photographs; none: noise is packed, or drawn"
    )
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
