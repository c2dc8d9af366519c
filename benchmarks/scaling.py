"""Images per second of whole trainings with 1, 2, 4 and 8 workers of one machine, for each way to divide the work.

Beside each stands its speed relative to one worker, and what benchmarks.scaling_model predicts for it. Images are
synthetic, and with --data also come from a packed data set. benchmarks.exchange --ddp has DistributedDataParallel.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import command
from benchmarks.fed import speed_and_waiting
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.scaling_model import Constants, predict
from benchmarks.training import finished, torchrun, workers
from lib.config.schema import Averaged


class Way(NamedTuple):
    """A way to divide a training among workers."""

    model: str
    keys: tuple[str, ...] = ()
    method: str = "peer"
    predicted: Averaged | None = None
    """which of the model's predictions is for it"""


WAYS = {
    "weights": Way("alexnet", predicted="weights"),
    "gradients": Way("alexnet", ("--exchange.what", "gradients"), predicted="gradients"),
    "collective": Way("alexnet", method="collective"),
    "hierarchical": Way("alexnet", method="hierarchical"),
    "resnet50": Way("resnet50", ("--compute.compile", "always")),
}


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    rows: list[Row] = []
    for count in arguments.workers:
        rows += measure(arguments, count)
    command.show("scaling", arguments, rows, dict(_comparisons(rows, arguments)))
    return 0


def measure(arguments: argparse.Namespace, count: int) -> list[Row]:
    """Measure trainings with ``count`` workers, in turns."""
    sources = {"synthetic": _synthetic(arguments)}
    if arguments.data:
        sources["fed"] = ["--data.source", "hickle", "--data.dir", str(arguments.data)]
    ways = {name: WAYS[name] for name in arguments.ways}
    if count == 1:  # then all ways of a network are one
        first = {way.model: name for name, way in reversed(ways.items())}
        ways = {name: WAYS[name]._replace(method="peer") for name in first.values()}
    contenders = [
        Contender(f"{name}, {source}", partial(_images_per_s, arguments, way, keys, count))
        for name, way in ways.items()
        for source, keys in sources.items()
    ]
    return take_turns(str(count), "images/s", contenders, arguments.rounds)


def _images_per_s(arguments: argparse.Namespace, way: Way, source: Sequence[str], count: int) -> float:
    size = arguments.batch_size
    per_epoch = max(1, arguments.images // (size * count))
    keys = ["--model.name", way.model, "--batch_size", str(size), *way.keys, *source, *arguments.keys]
    keys += ["--run.n_epochs", str(-(-arguments.iterations // per_epoch)), "--run.limit_batches", str(per_epoch)]
    keys += ["--logging.print_freq", str(arguments.interval)]
    if way.method == "peer":
        done = finished([*keys, *workers(count)], arguments.timeout_s)
    else:
        done = finished([*keys, "--exchange.method", way.method], arguments.timeout_s, torchrun(count))
    return speed_and_waiting(done.metrics, arguments.skip)[0]


def _comparisons(rows: Sequence[Row], arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Yield, for each number of workers, speeds over one worker and, on GPUs, over what the model predicts."""
    one = {(WAYS[name].model, source): speed for (name, source), speed in _speeds(rows, "1")}
    for case in dict.fromkeys(row.case for row in rows if row.case != "1"):
        for (name, source), speed in _speeds(rows, case):
            way, title = WAYS[name], f"{case} workers, {name}, {source}"
            if first := one.get((way.model, source)):
                yield f"{title}, over one", speed / first
                if way.predicted and command.has_gpu():
                    size = arguments.batch_size
                    constants = Constants(images=size, step_ms=1000 * size / first)
                    yield f"{title}, over the model", speed / predict(constants, int(case), way.predicted).images_s


def _speeds(rows: Sequence[Row], case: str) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield ((way, source), images/s) of one number of workers."""
    for row in rows:
        if row.case == case:
            name, _, source = row.name.partition(", ")
            yield (name, source), row.median


def _synthetic(arguments: argparse.Namespace) -> list[str]:
    sizes = ["--data.img_size", str(arguments.img_size), "--data.synthetic.train", str(arguments.images)]
    return ["--data.source", "synthetic", *sizes, "--data.synthetic.val", str(arguments.batch_size)]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpus = torch.cuda.device_count()
    parser = command.parser("scaling", __doc__, rounds=1)
    parser.add_argument(
        "--workers", type=command.positive, nargs="+", default=command.worker_counts(), help="numbers of workers"
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="ways to divide the work")
    parser.add_argument("--data", type=Path, help="folder of a packed data set, to measure training from files too")
    parser.add_argument("--images", type=command.positive, default=32768 if gpus else 128, help="training images")
    parser.add_argument("--batch_size", type=command.positive, default=128 if gpus else 4, help="images per worker")
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the images")
    parser.add_argument("--iterations", type=command.positive, default=600 if gpus else 6, help="per run")
    parser.add_argument(
        "--interval", type=command.positive, default=20 if gpus else 1, help="iterations per line of metrics"
    )
    parser.add_argument("--skip", type=int, default=5 if gpus else 1, help="first intervals to ignore")
    parser.add_argument("--timeout_s", type=float, default=300, help="longest duration of a run, in seconds")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
