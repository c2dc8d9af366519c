"""Milliseconds of an exchange between workers, compared with torch.distributed's all-reduce of the same bytes.

With --ddp it also measures images per second of whole steps, compared with DistributedDataParallel. Data is on the
devices already.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch.multiprocessing.spawn import spawn

from benchmarks import command
from benchmarks.exchange_worker import ROWS_FILE, run_worker
from benchmarks.harness import Row

_DDP_MODES = ("default", "max-autotune-no-cudagraphs")  # the hooks of DistributedDataParallel do not run in CUDA graphs


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    rows: list[Row] = []
    for count in arguments.workers:
        rows += measure(arguments, count)
    command.show("exchange", arguments, rows)
    return 0


def measure(arguments: argparse.Namespace, count: int) -> list[Row]:
    """Measure with ``count`` processes, which end afterwards. Raises the error of the first one that fails."""
    with tempfile.TemporaryDirectory(prefix="exchange-") as folder:
        spawn(run_worker, args=(count, folder, os.getpid(), arguments), nprocs=count)
        return [Row(**row) for row in json.loads((Path(folder) / ROWS_FILE).read_text(encoding="utf-8"))]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpu = command.has_gpu()
    counts = [count for count in command.worker_counts() if count > 1] or [2]
    parser = command.parser("exchange", __doc__, rounds=7 if gpu else 3)
    parser.add_argument(
        "--workers", type=command.positive, nargs="+", default=counts, help="numbers of workers, each at least 2"
    )
    parser.add_argument(
        "--numbers",
        type=command.positive,
        default=60_965_224 if gpu else 1_000_000,
        help="parameters of the network; AlexNet has 60,965,224",
    )
    parser.add_argument("--iterations", type=command.positive, default=50 if gpu else 5, help="exchanges per turn")
    parser.add_argument("--ddp", action="store_true", help="also measure whole steps")
    parser.add_argument("--model", default="alexnet", help="with --ddp: network; train.py --list_models prints them")
    parser.add_argument(
        "--batch_size", type=command.positive, default=128 if gpu else 4, help="with --ddp: images per worker"
    )
    parser.add_argument("--img_size", type=command.positive, default=256, help="with --ddp: side of the images")
    parser.add_argument(
        "--modes", nargs="+", choices=_DDP_MODES, default=_DDP_MODES, help="with --ddp: of torch.compile, for peers"
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="with --ddp: do not compile")
    parser.add_argument("--patience_s", type=float, default=120, help="seconds after which a silent worker is lost")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
