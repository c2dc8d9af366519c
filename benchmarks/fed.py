"""Images per second of whole trainings fed from batch files, compared with the same on synthetic images.

For each, also the share of time that worker 0 waited for data, and the cores that each loader kept busy.

Synthetic images also come from loaders, but from their memory. For one worker, the step alone is measured as well.
"""

import argparse
import contextlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from benchmarks import command
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import OurStep, configuration
from benchmarks.packed import pack_noise
from benchmarks.training import finished, workers


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    seen: dict[str, list[Run]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        folder = arguments.data
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="fed-", dir=arguments.scratch)
            folder = Path(stack.enter_context(scratch)) / "data"
            pack_noise(folder, train=arguments.images, val=arguments.batch_size, img_size=arguments.img_size)
        rows: list[Row] = []
        for count in arguments.workers:
            rows += measure(arguments, folder, count, seen)
    fed = {row.case: row.median for row in rows if row.name == "fed"}
    first, *rest = fed
    notes = {f"fed, {case} over {first}": fed[case] / fed[first] for case in rest}
    for name, runs in seen.items():
        notes[f"{name}: share of time waiting"] = median(run.waiting for run in runs)
        notes[f"{name}: cores of a loader"] = median(run.loader_cores for run in runs)
    command.show("fed", arguments, rows, notes)
    return 0


class Run(NamedTuple):
    """The measurements of one training."""

    images_per_s: float
    waiting: float
    """share of the time that worker 0 waited for data"""
    loader_cores: float


def measure(arguments: argparse.Namespace, folder: Path, count: int, seen: dict[str, list[Run]]) -> list[Row]:
    """Measure trainings with ``count`` workers, from batch files and on synthetic images, in turns.

    Every run is added to ``seen``, by contender and case.
    """
    size = arguments.batch_size
    per_epoch = max(1, arguments.images // (size * count))
    common = ["--model.name", arguments.model, "--batch_size", str(size), *arguments.keys]
    length = ["--run.n_epochs", str(-(-arguments.iterations // per_epoch)), "--run.limit_batches", str(per_epoch)]
    length += ["--logging.print_freq", str(arguments.interval)]
    synthetic = ["--data.source", "synthetic", "--data.img_size", str(arguments.img_size)]
    synthetic += ["--data.synthetic.train", str(arguments.images), "--data.synthetic.val", str(size)]
    fed = ["--data.source", arguments.source, "--data.dir", str(folder), "--data.img_size", str(arguments.img_size)]
    sources = {"fed": fed, "synthetic": synthetic}
    if arguments.memory:
        sources["fed from memory"] = [*fed, "--data.cache", "memory"]

    def turn(name: str) -> float:
        done = finished([*common, *length, *sources[name], *workers(count)], arguments.timeout_s)
        run = Run(*speed_and_waiting(done.metrics, arguments.skip), done.loader_cores)
        seen[f"{name}, {case}"].append(run)
        return run.images_per_s

    case = f"{count} x {size}"
    contenders = [Contender(name, partial(turn, name)) for name in sources]
    if arguments.source != "hickle":
        turn("fed")  # fills data.cache disk
        seen[f"fed, {case}"].clear()
    if count == 1:
        step = OurStep(configuration([*common, *synthetic]))
        step.images_per_s(arguments.interval)
        contenders.append(Contender("the step alone", lambda: step.images_per_s(arguments.iterations)))
    rows = take_turns(case, "images/s", contenders, arguments.rounds)
    torch.cuda.empty_cache()
    return rows


def speed_and_waiting(metrics: Sequence[Mapping[str, Any]], skip: int) -> tuple[float, float]:
    """Return all images over all time, and the share of this time that worker 0 waited for data.

    The first ``skip`` training intervals and the first of each epoch do not count.

    At the start of an epoch the pipeline restarts, and worker 0 may copy a checkpoint. That takes about 10 ms, which is
    negligible in an epoch of ImageNet, but not in the short epochs here.

    >>> lines = [{"kind": "train", "images": 10, "images_per_s": speed, "wait": speed / 10} for speed in (1, 10, 5)]
    >>> speed_and_waiting(lines, skip=1)  # 1 s, all of it waiting, and 2 s, half of it
    (6.666666666666667, 0.6666666666666666)
    >>> speed_and_waiting([*lines, {"kind": "val"}, *lines], skip=1)
    (6.666666666666667, 0.6666666666666666)
    """
    later = [line for before, line in pairwise(metrics) if before["kind"] == line["kind"] == "train"]
    intervals = later[max(0, skip - 1) :]
    if not intervals:
        raise ValueError(f"the run has at most {skip} intervals; raise --iterations or lower --skip")
    seconds = [line["images"] / line["images_per_s"] for line in intervals]
    waited_s = sum(line["wait"] * lasted for line, lasted in zip(intervals, seconds, strict=True))
    return sum(line["images"] for line in intervals) / sum(seconds), waited_s / sum(seconds)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpus = torch.cuda.device_count()
    parser = command.parser("fed", __doc__, rounds=3)
    parser.add_argument(
        "--workers", type=command.positive, nargs="+", default=command.worker_counts(), help="numbers of workers"
    )
    parser.add_argument("--model", default="alexnet", help="network; train.py --list_models prints them")
    parser.add_argument("--data", type=Path, help="folder of the data set (default: pack noise)")
    parser.add_argument(
        "--source",
        default="hickle",
        help="data.source of --data; others than hickle are run once before, to fill caches",
    )
    parser.add_argument("--memory", action="store_true", help="measure data.cache memory as well")
    parser.add_argument("--images", type=command.positive, default=32768 if gpus else 256, help="training images")
    parser.add_argument("--batch_size", type=command.positive, default=128 if gpus else 8, help="images per worker")
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the images")
    parser.add_argument("--iterations", type=command.positive, default=600 if gpus else 10, help="per run")
    parser.add_argument(
        "--interval", type=command.positive, default=20 if gpus else 2, help="iterations per line of metrics"
    )
    parser.add_argument(
        "--skip",
        type=int,
        default=5 if gpus else 1,
        help="first intervals to ignore, besides the first of each epoch",
    )
    parser.add_argument("--timeout_s", type=float, default=600, help="longest duration of a run, in seconds")
    parser.add_argument("--scratch", type=Path, help="folder to pack noise in (default: the one for temporary files)")
    command.add_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
