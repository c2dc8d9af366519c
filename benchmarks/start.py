"""Seconds from the command to the metrics of the first iteration, with cold and with warm caches.

A cold start has no compiled code: neither kernels of compilers and CUDA's driver nor Python modules.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import command
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.training import seconds_to_first_iteration, workers


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    rows: list[Row] = []
    for count in arguments.workers:
        rows += measure(arguments, count)
    command.show("start", arguments, rows)
    return 0


def measure(arguments: argparse.Namespace, count: int) -> list[Row]:
    """Measure starts of ``count`` workers, with cold and with warm caches, in turns."""
    images = str(2 * count * arguments.batch_size)
    keys = ["--data.source", "synthetic", "--data.synthetic.train", images, "--data.img_size", str(arguments.img_size)]
    keys += ["--model.name", arguments.model, "--batch_size", str(arguments.batch_size), *workers(count)]
    keys += arguments.keys

    def start(caches: str) -> float:
        return seconds_to_first_iteration(keys, arguments.timeout_s, environment(Path(caches)))

    def cold() -> float:
        with tempfile.TemporaryDirectory(prefix="caches-") as caches:
            return start(caches)

    with tempfile.TemporaryDirectory(prefix="caches-") as caches:
        start(caches)
        contenders = [
            Contender("cold caches", cold),
            Contender("warm caches", lambda: start(caches)),
            Contender("python, import torch", import_torch),
        ]
        return take_turns(f"{count} x {arguments.batch_size}", "s", contenders, arguments.rounds)


def environment(caches: Path) -> dict[str, str]:
    """Return the environment variables that make all compilers use only the folder ``caches``."""
    folders = {
        "TORCHINDUCTOR_CACHE_DIR": "inductor",
        "TRITON_CACHE_DIR": "triton",
        "CUDA_CACHE_PATH": "cuda",
        "PYTHONPYCACHEPREFIX": "python",
    }
    return {name: str(caches / folder) for name, folder in folders.items()}


def import_torch() -> float:
    """Return the seconds to import torch: a lower bound for any start."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True, timeout=120)
    return time.perf_counter() - start


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpus = torch.cuda.device_count()
    parser = command.parser("start", __doc__, rounds=3)
    parser.add_argument(
        "--workers", type=command.positive, nargs="+", default=command.worker_counts(), help="numbers of workers"
    )
    parser.add_argument("--model", default="alexnet", help="network; train.py --list_models prints them")
    parser.add_argument("--batch_size", type=command.positive, default=128 if gpus else 8, help="images per worker")
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the images")
    parser.add_argument("--timeout_s", type=float, default=300, help="longest duration of a start, in seconds")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
