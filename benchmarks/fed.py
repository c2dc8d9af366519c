"""Images a second of whole trainings: fed from batch files, and the same on synthetic images. The ratio is the point.

Synthetic images come through loaders too, but from their memory. For one worker, the step alone is shown as well.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks import command
from benchmarks.harness import Contender, Row, take_turns
from benchmarks.ours import OurStep, configuration
from benchmarks.packed import pack_noise
from benchmarks.training import finished, workers


def main(argv: Sequence[str]) -> int:
    arguments = _parse(argv)
    with contextlib.ExitStack() as stack:
        folder = arguments.data
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="fed-", dir=arguments.scratch)
            folder = Path(stack.enter_context(scratch)) / "data"
            pack_noise(folder, train=arguments.images, val=arguments.batch_size, img_size=arguments.img_size)
        rows: list[Row] = []
        for count in arguments.workers:
            rows += measure(arguments, folder, count)
    fed = {row.case: row.median for row in rows if row.name == "fed"}
    first, *rest = fed
    command.show("fed", arguments, rows, {f"fed, {case} over {first}": fed[case] / fed[first] for case in rest})
    return 0


def measure(arguments: argparse.Namespace, folder: Path, count: int) -> list[Row]:
    """So many workers, fed and not, in turns."""
    size = arguments.batch_size
    per_epoch = max(1, arguments.images // (size * count))
    common = ["--model.name", arguments.model, "--batch_size", str(size), *arguments.keys]
    length = ["--run.n_epochs", str(-(-arguments.iterations // per_epoch)), "--run.limit_batches", str(per_epoch)]
    length += ["--logging.print_freq", str(arguments.interval)]
    synthetic = ["--data.source", "synthetic", "--data.img_size", str(arguments.img_size)]
    synthetic += ["--data.synthetic.train", str(arguments.images), "--data.synthetic.val", str(size)]
    sources = {"fed": ["--data.source", "hickle", "--data.dir", str(folder)], "synthetic": synthetic}

    def run(source: Sequence[str]) -> float:
        keys = [*common, *length, *source, *workers(count)]
        return images_per_s(finished(keys, arguments.timeout_s), arguments.skip)

    contenders = [Contender(name, partial(run, source)) for name, source in sources.items()]
    if count == 1:
        step = OurStep(configuration([*common, *synthetic]))
        step.images_per_s(arguments.interval)
        contenders.append(Contender("the step alone", lambda: step.images_per_s(arguments.iterations)))
    rows = take_turns(f"{count} x {size}", "images/s", contenders, arguments.rounds)
    torch.cuda.empty_cache()
    return rows


def images_per_s(metrics: Sequence[Mapping[str, Any]], skip: int) -> float:
    """All images over all time, but for the first ``skip`` training intervals and each epoch's first.

    There the pipeline begins anew, and worker 0 may copy a checkpoint: some 10 ms of an epoch, which is next to nothing
    where epochs are as long as ImageNet's, and much where they are as short as here.

    >>> lines = [{"kind": "train", "images": 10, "images_per_s": speed} for speed in (1, 10, 5)]
    >>> images_per_s(lines, skip=1)  # 20 images in 1 and 2 seconds
    6.666666666666667
    >>> images_per_s([*lines, {"kind": "val"}, *lines], skip=1)
    6.666666666666667
    """
    begun = [line for before, line in pairwise(metrics) if before["kind"] == line["kind"] == "train"]
    intervals = begun[max(0, skip - 1) :]
    if not intervals:
        raise ValueError(f"the run has no more than {skip} intervals; raise --iterations or lower --skip")
    return float(
        sum(line["images"] for line in intervals) / sum(line["images"] / line["images_per_s"] for line in intervals)
    )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    gpus = torch.cuda.device_count()
    parser = command.parser("fed", __doc__, rounds=3 if gpus else 2)
    parser.add_argument("--workers", type=command.positive, nargs="+", default=command.worker_counts(), help="how many")
    parser.add_argument("--model", default="alexnet", help="network; train.py --list_models prints them")
    parser.add_argument("--data", type=Path, help="a packed data set; none: noise is packed")
    parser.add_argument("--images", type=command.positive, default=32768 if gpus else 256, help="training images")
    parser.add_argument("--batch_size", type=command.positive, default=128 if gpus else 8, help="of each worker")
    parser.add_argument("--img_size", type=command.positive, default=256, help="side of the images")
    parser.add_argument("--iterations", type=command.positive, default=600 if gpus else 10, help="of each run")
    parser.add_argument("--interval", type=command.positive, default=20 if gpus else 2, help="iterations a figure")
    parser.add_argument(
        "--skip",
        type=int,
        default=5 if gpus else 1,
        help="first intervals that do not count, nor do those that begin an epoch",
    )
    parser.add_argument("--timeout_s", type=float, default=600, help="seconds that a run may take")
    parser.add_argument("--scratch", type=Path, help="folder to pack noise in; none: that for temporary files")
    command.take_keys(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(command.run(main))
