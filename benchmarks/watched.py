"""Watch the processes of a run from outside, through /proc."""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import cpu_seconds


class Sample(NamedTuple):
    """The resources of a process at one moment."""

    seconds: float
    """since the first sample"""
    own_bytes: int
    """resident memory that only this process maps"""
    shared_bytes: int
    """resident memory shared with other processes: slots and replicas, not files"""
    descriptors: int
    threads: int


def roles(supervisor: int) -> dict[str, int]:
    """Return the process numbers of the supervisor and of each role that it has started."""
    found = {"supervisor": supervisor}
    for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii").split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        if role := [word for word in words if word.startswith("lib.roles.")]:
            found[f"{role[0].rpartition('.')[2]} {words[-2]}"] = int(child)
    return found


class LoaderCores:
    """The cores that the loaders of a run keep busy."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self._samples: list[tuple[float, float]] = []  # seconds of the clock, and of the CPU for one loader

    def sample(self) -> None:
        """Take a sample, unless the loaders are ending."""
        with contextlib.suppress(OSError):
            loaders = [pid for role, pid in roles(self._supervisor).items() if role.startswith("loader ")]
            if loaders:
                self._samples.append((time.perf_counter(), sum(map(family_cpu_seconds, loaders)) / len(loaders)))

    @property
    def mean(self) -> float:
        """The cores of one loader between the first and the last sample; 0 if there are not two."""
        if len(self._samples) < 2:
            return 0.0
        (start, cpu_start), (end, cpu_end) = self._samples[0], self._samples[-1]
        return (cpu_end - cpu_start) / (end - start)


def family_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its children, such as the decoders of a loader."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return cpu_seconds(pid) + sum(cpu_seconds(int(child)) for child in children)


def sample(pid: int, seconds: float) -> Sample:
    """Return the resources of process ``pid``. Raises OSError if it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = {name: words.split() for name, _, words in (line.partition(":") for line in lines)}
    return Sample(
        seconds=seconds,
        own_bytes=int(fields["RssAnon"][0]) << 10,
        shared_bytes=int(fields["RssShmem"][0]) << 10,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(fields["Threads"][0]),
    )
