"""What limits the training of AlexNet on many GPUs: a model of one step, from measured constants that are options.

The gradients of the fully connected layers are exchanged during the backward pass of the convolutions, within a machine
(peer) and between machines (hierarchical). A step grows by the delay that the copies within a machine cause, the mean,
the exchange of the last segment, and what the backward pass cannot hide. What NCCL's kernels, which exchange between
machines, take from the convolutions is not known and not counted.

``exchange.what`` decides what moves. gradients: each worker averages its part of the bfloat16 gradients, and all copy
the finished parts. weights, up to four workers of one machine: each copies the gradients of all others, and its update
takes their mean. weights, more workers: float32 momentum is averaged like gradients, in the middle of the update.

The column "split" is a prediction for model.parallel classifier within a machine: there activations travel, in the
middle of the step, and each worker updates its share. Kernels that pack activations are not counted.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import ceil, log2
from typing import get_args

from lib.config.schema import Averaged

# Most workers that copy the gradients of all others: lib/exchange/base.py.
_MAX_GATHERED = 4
# Barriers of a step with a split classifier of three layers: lib/training/split_layers.py.
_MEETINGS = 8


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constants of AlexNet in bfloat16 with fused kernels on an NVIDIA H200; ``help`` gives the source of each."""

    images: int = field(default=128, metadata={"help": "images per GPU and step"})
    step_ms: float = field(default=2.353, metadata={"help": "step of one GPU, with data: measured, 54.4 k images/s"})
    ready_ms: float = field(
        default=0.95, metadata={"help": "time until the early gradients are ready: measured in a trace"}
    )
    early_mb: float = field(default=117.2, metadata={"help": "size of the gradients of the fully connected layers"})
    late_mb: float = field(default=4.7, metadata={"help": "size of the other gradients"})
    link_gb_s: float = field(
        default=365.0, metadata={"help": "copies over NVLink in each direction: 58.6 MB in 160 us"}
    )
    memory_gb_s: float = field(default=4300.0, metadata={"help": "memory bandwidth of a GPU: measured"})
    barrier_ms: float = field(default=0.004, metadata={"help": "barrier on the device: measured, 3 to 4 us"})
    delay: float = field(
        default=0.19, metadata={"help": "delay caused by a copy, relative to its time: 60 of 320 us, 2 workers"}
    )
    tail_ms: float = field(default=0.02, metadata={"help": "exchange of the last segment alone: measured in a trace"})
    update_ms: float = field(default=0.30, metadata={"help": "update of all weights: measured in a trace"})
    activations_mb: float = field(
        default=9.2, metadata={"help": "activations and their gradients, of a split classifier, for each other GPU"}
    )
    per_machine: int = field(default=8, metadata={"help": "GPUs per machine"})
    network_gbit_s: float = field(default=400.0, metadata={"help": "network bandwidth per GPU: assumed"})
    hop_ms: float = field(default=0.01, metadata={"help": "latency of a message between machines: assumed"})
    image_kb: float = field(default=174.336, metadata={"help": "kB a loader reads per image: 227 rows of 256 x 3"})


@dataclass(frozen=True)
class Measured:
    """The measured speed of train.py on batch files on one machine."""

    workers: int
    images_s: float


# Shown in docs/scaling.md; replace them after a new measurement. One and two workers are of one run, four of another
# with six readers per loader (docs/performance.md).
MEASURED = (Measured(1, 54_400), Measured(2, 104_900), Measured(4, 204_700))


@dataclass(frozen=True, kw_only=True)
class PredictedStep:
    """A step of ``workers`` workers. Times are in milliseconds."""

    workers: int
    early: float
    """time to exchange the early gradients"""
    room: float
    """time of the backward pass that can hide that exchange"""
    step: float
    images_s: float
    moved_mb: float
    """sent over the links of one GPU"""
    network_mb: float
    """sent over the network of one GPU"""
    read_gb_s: float
    """read by the loaders of one machine"""

    @property
    def limit(self) -> str:
        """The largest cost compared with one worker."""
        if self.workers == 1:
            return "the step itself"
        if self.early > self.room:
            return "the network between machines" if self.network_mb else "the links"
        return "copies that delay the convolutions"


def predict(c: Constants, workers: int, what: Averaged = "gradients") -> PredictedStep:
    """Predict a step of ``workers`` workers. If they need several machines, all are full."""
    local = min(workers, c.per_machine)
    machines = ceil(workers / c.per_machine)
    if what == "weights" and workers <= _MAX_GATHERED and machines == 1:
        return _gathered(c, workers)
    bytes_factor, second_pass = (2, _second_pass_ms(c)) if what == "weights" else (1, 0.0)  # float32 for bfloat16
    early_mb, late_mb = bytes_factor * c.early_mb, bytes_factor * c.late_mb
    early, late = (_exchange_ms(c, megabytes, local, machines) for megabytes in (early_mb, late_mb))
    exposed = 0.0
    if workers > 1:
        copies = 2 * early_mb * _others(local) / c.link_gb_s
        between = late if machines > 1 else c.tail_ms
        exposed = c.delay * copies + _mean_ms(c, early_mb, local) + between + second_pass
    total_mb = early_mb + late_mb
    return _step(
        c,
        workers,
        early=early,
        exposed=exposed,
        moved_mb=2 * total_mb * _others(local),
        network_mb=2 * total_mb / local * _others(machines),
    )


def _gathered(c: Constants, workers: int) -> PredictedStep:
    """Predict a step in which each worker of one machine copies the gradients of all others."""
    others = workers - 1
    copies, exposed = c.early_mb * others / c.link_gb_s, 0.0
    if others:  # the update reads the gradients of all
        exposed = c.delay * copies + c.early_mb * others / c.memory_gb_s + c.tail_ms
    early = copies + 2 * c.barrier_ms * min(1, others)
    return _step(c, workers, early=early, exposed=exposed, moved_mb=(c.early_mb + c.late_mb) * others)


def _step(
    c: Constants,
    workers: int,
    *,
    early: float,
    exposed: float,
    moved_mb: float,
    network_mb: float = 0.0,
) -> PredictedStep:
    """Return a step that grows by ``exposed``, and by the part of ``early`` that the backward pass cannot hide."""
    room = c.step_ms - c.ready_ms
    step = c.step_ms + exposed + max(0.0, early - room)
    return PredictedStep(
        workers=workers,
        early=early,
        room=room,
        step=step,
        images_s=1000 * workers * c.images / step,
        moved_mb=moved_mb,
        network_mb=network_mb,
        read_gb_s=min(workers, c.per_machine) * c.images * c.image_kb / step / 1000,
    )


def split_efficiency(c: Constants, workers: int) -> float | None:
    """Return the speed per GPU with a split classifier, relative to one GPU; None for several machines."""
    if workers > c.per_machine:
        return None
    saved = c.update_ms * c.early_mb / (c.early_mb + c.late_mb) * _others(workers)
    activations = c.activations_mb * (workers - 1) / c.link_gb_s
    meetings = _MEETINGS * c.barrier_ms + c.tail_ms if workers > 1 else 0.0
    return c.step_ms / (c.step_ms - saved + activations + meetings)


def _others(count: int) -> float:
    """Return the fraction of evenly divided data that is on the other ``count`` - 1."""
    return (count - 1) / count


def _second_pass_ms(c: Constants) -> float:
    """Return the time of an update in two halves beyond that of one: momentum and weights are read once more."""
    return 4 * (c.early_mb + c.late_mb) / c.memory_gb_s  # two float32 tensors, each twice the bytes of the gradients


def _mean_ms(c: Constants, megabytes: float, local: int) -> float:
    """Return the time to average one chunk: all replicas' chunks are read, one is written."""
    return megabytes * (1 + 1 / local) / c.memory_gb_s


def _exchange_ms(c: Constants, megabytes: float, local: int, machines: int) -> float:
    """Return the time to average chunks within a machine, then between machines (by a tree), and to gather them."""
    if local == 1 and machines == 1:
        return 0.0
    within = 2 * megabytes * _others(local) / c.link_gb_s + _mean_ms(c, megabytes, local) + 3 * c.barrier_ms
    network_gb_s = c.network_gbit_s / 8
    between = 2 * megabytes / local * _others(machines) / network_gb_s
    return within + between + 2 * ceil(log2(machines)) * c.hop_ms


def table(steps: Sequence[PredictedStep], c: Constants) -> Iterator[str]:
    """Yield the lines of a Markdown table of the model."""
    yield "| GPUs | ms per step | images/s | efficiency | split | MB by NVLink | MB by network | limit |"
    yield "|---|---|---|---|---|---|---|---|"
    one = 1000 * c.images / c.step_ms
    for s in steps:
        split = split_efficiency(c, s.workers)
        yield (
            f"| {s.workers:,} | {s.step:.2f} | {s.images_s / 1000:,.0f} k | {s.images_s / s.workers / one:.0%} | "
            f"{'' if split is None else f'{split:.0%}'} | {s.moved_mb:.0f} | {s.network_mb:.0f} | {s.limit} |"
        )


def compared(c: Constants) -> Iterator[str]:
    """Yield the lines of a Markdown table of measurements and model."""
    yield "| GPUs | measured, images/s | model | error |"
    yield "|---|---|---|---|"
    for measured in MEASURED:
        model = predict(c, measured.workers).images_s
        error = round(model / measured.images_s - 1, 3) + 0
        yield f"| {measured.workers} | {measured.images_s:,.0f} | {model:,.0f} | {error:+.1%} |"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_model", description=__doc__, allow_abbrev=False)
    for option in fields(Constants):
        text = f"{option.metadata['help']} (default: {option.default})".replace("%", "%%")
        parser.add_argument(f"--{option.name}", type=type(option.default), default=option.default, help=text)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 64, 1024], help="numbers of GPUs")
    parser.add_argument(
        "--what", choices=get_args(Averaged), default="weights", help="exchange.what (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")
    arguments = vars(parser.parse_args(argv))
    counts, what, as_json = arguments.pop("workers"), arguments.pop("what"), arguments.pop("json")
    constants = Constants(**arguments)
    for count in counts:
        if count < 1 or (count > constants.per_machine and count % constants.per_machine):
            parser.error(f"--workers {count} does not fill machines of {constants.per_machine} GPUs; use a multiple")
    steps = [predict(constants, count, what) for count in counts]
    if as_json:
        rows = [asdict(step) | {"limit": step.limit} for step in steps]
        print(json.dumps({"benchmark": "scaling_model", "what": what, "constants": asdict(constants), "rows": rows}))
    else:
        print(*table(steps, constants), "", *compared(constants), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
