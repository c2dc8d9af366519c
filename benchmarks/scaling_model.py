"""What limits AlexNet's training on many GPUs: a model of one step, from measured constants that are options.

With replicas that meet on the device, the gradients of the fully connected layers travel while the convolutions are
still going backwards; what a step grows by is the delay that copies cause there, the mean, and the last stretch.
Between machines (hierarchical) the exchange comes after the captured step; "overlapped" is what it would be inside it.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import ceil, log2


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Of one NVIDIA H200, AlexNet in bfloat16 with kernels of its own; times in milliseconds. ``help`` says whence."""

    images: int = field(default=128, metadata={"help": "images of each GPU a step"})
    step_ms: float = field(default=2.353, metadata={"help": "a step of one GPU, fed: measured, 54.4 k images/s"})
    ready_ms: float = field(default=0.95, metadata={"help": "early gradients are there: measured, in the trace"})
    early_mb: float = field(default=117.2, metadata={"help": "bytes of gradients of the fully connected layers"})
    late_mb: float = field(default=4.7, metadata={"help": "bytes of the other gradients"})
    link_gb_s: float = field(default=365.0, metadata={"help": "copies over NVLink, each way: 58.6 MB in 160 us"})
    memory_gb_s: float = field(default=4300.0, metadata={"help": "a GPU's own memory: measured"})
    meeting_ms: float = field(default=0.004, metadata={"help": "a meeting on the device: measured, 3 to 4 us"})
    delay: float = field(default=0.19, metadata={"help": "delay a copy causes, of its time: 60 of 320 us, 2 workers"})
    tail_ms: float = field(default=0.02, metadata={"help": "the last stretch, exchanged alone: measured, in the trace"})
    host_ms: float = field(default=1.2, metadata={"help": "hosts that meet: measured, 64.1 k images/s of 2 workers"})
    per_machine: int = field(default=8, metadata={"help": "GPUs of a machine"})
    network_gbit_s: float = field(default=400.0, metadata={"help": "network of each GPU: assumed"})
    hop_ms: float = field(default=0.01, metadata={"help": "a message from machine to machine: assumed"})
    image_kb: float = field(default=196.608, metadata={"help": "bytes that a loader reads for an image: 256 x 256 x 3"})


@dataclass(frozen=True)
class Measured:
    """A training by train.py on batch files, seen on one machine."""

    workers: int
    images_s: float


# To be exchanged when there are new ones; docs/scaling.md shows them. One and two workers are of one run, four of
# another with six readers a loader (docs/performance.md).
MEASURED = (Measured(1, 54_400), Measured(2, 104_900), Measured(4, 204_700))


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of so many workers. Milliseconds but for the names that say otherwise."""

    workers: int
    early: float
    """to exchange the early gradients"""
    room: float
    """what there is to hide that in"""
    step: float
    images_s: float
    overlapped_images_s: float
    """with the whole exchange inside the captured step"""
    moved_mb: float
    """over a GPU's own link"""
    network_mb: float
    """over a GPU's own network"""
    read_gb_s: float
    """that the loaders of one machine read"""

    @property
    def limit(self) -> str:
        """What most of the growth over one worker is."""
        if self.workers == 1:
            return "the network itself"
        if self.network_mb:
            return "an exchange after the step, hosts that meet"
        return "copies that delay the convolutions" if self.early < self.room else "the links"


def predict(c: Constants, workers: int) -> Step:
    """A step of so many workers, a whole number of machines where they are more than one."""
    local = min(workers, c.per_machine)
    machines = ceil(workers / c.per_machine)
    early, late = (_exchange_ms(c, megabytes, local, machines) for megabytes in (c.early_mb, c.late_mb))
    copies = 2 * c.early_mb * _others(local) / c.link_gb_s
    room = c.step_ms - c.ready_ms
    exposed = 0.0
    if workers > 1:
        between = late if machines > 1 else c.tail_ms
        exposed = c.delay * copies + _mean_ms(c, c.early_mb, local) + between + max(0.0, early - room)
    overlapped = c.step_ms + exposed
    step = overlapped if machines == 1 else c.step_ms + early + late + c.host_ms
    total_mb = c.early_mb + c.late_mb
    return Step(
        workers=workers,
        early=early,
        room=room,
        step=step,
        images_s=1000 * workers * c.images / step,
        overlapped_images_s=1000 * workers * c.images / overlapped,
        moved_mb=2 * total_mb * _others(local),
        network_mb=2 * total_mb / local * _others(machines),
        read_gb_s=local * c.images * c.image_kb / step / 1000,
    )


def _others(count: int) -> float:
    """The part of something shared out among so many that lies with the others."""
    return (count - 1) / count


def _mean_ms(c: Constants, megabytes: float, local: int) -> float:
    """Everyone's share is read, one is written."""
    return megabytes * (1 + 1 / local) / c.memory_gb_s


def _exchange_ms(c: Constants, megabytes: float, local: int, machines: int) -> float:
    """Shares averaged within the machine, then between machines (a tree, there and back), then collected."""
    if local == 1 and machines == 1:
        return 0.0
    within = 2 * megabytes * _others(local) / c.link_gb_s + _mean_ms(c, megabytes, local) + 3 * c.meeting_ms
    network_gb_s = c.network_gbit_s / 8
    between = 2 * megabytes / local * _others(machines) / network_gb_s
    return within + between + 2 * ceil(log2(machines)) * c.hop_ms


def table(steps: Sequence[Step], c: Constants) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| GPUs | ms a step | images/s | of one GPU each | overlapped | MB by NVLink | MB by network | limit |"
    yield "|---|---|---|---|---|---|---|---|"
    one = 1000 * c.images / c.step_ms
    for s in steps:
        yield (
            f"| {s.workers:,} | {s.step:.2f} | {s.images_s / 1000:,.0f} k | {s.images_s / s.workers / one:.0%} | "
            f"{s.overlapped_images_s / s.workers / one:.0%} | {s.moved_mb:.0f} | {s.network_mb:.0f} | {s.limit} |"
        )


def compared(c: Constants) -> Iterator[str]:
    """What was measured, beside the model, as lines of a Markdown table."""
    yield "| GPUs | measured, images/s | model | off |"
    yield "|---|---|---|---|"
    for seen in MEASURED:
        model = predict(c, seen.workers).images_s
        off = round(model / seen.images_s - 1, 3) + 0
        yield f"| {seen.workers} | {seen.images_s:,.0f} | {model:,.0f} | {off:+.1%} |"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_model", description=__doc__, allow_abbrev=False)
    for option in fields(Constants):
        told = f"{option.metadata['help']} (default: {option.default})".replace("%", "%%")
        parser.add_argument(f"--{option.name}", type=type(option.default), default=option.default, help=told)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 64, 1024], help="how many GPUs")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead")
    arguments = vars(parser.parse_args(argv))
    counts, as_json = arguments.pop("workers"), arguments.pop("json")
    constants = Constants(**arguments)
    for count in counts:
        if count < 1 or (count > constants.per_machine and count % constants.per_machine):
            parser.error(f"--workers {count} is no whole number of machines of {constants.per_machine} GPUs")
    steps = [predict(constants, count) for count in counts]
    if as_json:
        rows = [asdict(step) | {"limit": step.limit} for step in steps]
        print(json.dumps({"benchmark": "scaling_model", "constants": asdict(constants), "rows": rows}))
    else:
        print(*table(steps, constants), "", *compared(constants), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
