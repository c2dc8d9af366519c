"""Is this machine fit for training? One line a question: fine, or what to do.

examples:
  python -m lib.commands.doctor
  python -m lib.commands.doctor --data.dir /fast/imagenet
  python -m lib.commands.doctor --spec spec_2gpu.yaml --data.dir data
"""

import itertools
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from lib.config.command_line import parse, report_errors
from lib.config.schema import Config
from lib.data.packed.layout import layout, read_manifest
from lib.data.sources.registry import source_kind
from lib.errors import UserError
from lib.system import disk, gpu_peers
from lib.system.devices import choose_device

_ROOT = Path(__file__).parents[2]
_GB = 1e9
# A loader keeps up to 0.4 of what it may open; fewer files than this are opened again and again.
_OPEN_FILES = 1024
# CUDA puts small files there for what processes share of a GPU's memory.
_SHM_BYTES = 16e6
# 256 x 256 x 3 bytes, five thousand times a second. The fastest GPU eats ten times as much, from memory.
_DISK_BYTES_S = 1.0 * _GB
_PEER_BYTES_S = 10 * _GB


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one question. ``bad`` keeps one from training, ``slow`` does not."""

    what: str
    state: Literal["fine", "slow", "bad"]
    text: str


Check: TypeAlias = Callable[[Config], Iterator[Finding]]


def main() -> int:
    """Print a line a finding; exit status 2 if one of them is bad."""
    settings, spec = _ROOT / "config.yaml", _ROOT / "spec_1gpu.yaml"
    config, _ = parse(
        sys.argv[1:], description=str(__doc__), config=settings, spec=spec, prog="python -m lib.commands.doctor"
    )
    return tell(examine(config, CHECKS), coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def examine(config: Config, checks: Sequence[Check]) -> Iterator[Finding]:
    """Everything that the checks find, one after the other."""
    return itertools.chain.from_iterable(check(config) for check in checks)


def tell(findings: Iterator[Finding], *, coloured: bool) -> int:
    """Print the findings and return the exit status: 2 if one is bad."""
    colours = {"fine": "\033[32m", "slow": "\033[33m", "bad": "\033[31m"}
    status = 0
    for finding in findings:
        word = f"{colours[finding.state]}{finding.state:<4}\033[0m" if coloured else f"{finding.state:<4}"
        print(f"{word}  {finding.what:<11} {finding.text}", flush=True)
        if finding.state == "bad":
            status = 2
    return status


def _python(_: Config) -> Iterator[Finding]:
    new = sys.version_info >= (3, 11)
    text = f"{platform.python_version()} at {sys.executable}"
    yield Finding(what="Python", state="fine" if new else "bad", text=text if new else f"{text}; install 3.11 or newer")


def _torch(_: Config) -> Iterator[Finding]:
    yield Finding(what="torch", state="fine", text=f"{torch.__version__}, {torch.get_num_threads()} CPU threads")
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        text = ", ".join(f"{gpu.name} ({gpu.total_memory / _GB:.0f} GB)" for gpu in gpus)
        yield Finding(what="CUDA", state="fine", text=f"{torch.version.cuda}: {text}")
    elif shutil.which("nvidia-smi"):
        yield Finding(
            what="CUDA",
            state="bad",
            text="there is a driver, but torch sees no GPU; install a torch built for CUDA "
            "(https://pytorch.org/get-started), and look at CUDA_VISIBLE_DEVICES and nvidia-smi",
        )
    else:
        yield Finding(what="CUDA", state="fine", text="no GPU here: training runs on the CPU")


def _devices(config: Config) -> Iterator[Finding]:
    n_gpus = torch.cuda.device_count()
    try:
        chosen = [str(choose_device(config.devices, rank, n_gpus)) for rank in range(config.world_size)]
    except UserError as error:
        yield Finding(what="devices", state="bad", text=str(error))
        return
    yield Finding(what="devices", state="fine", text=f"training would use {', '.join(chosen)}")


def _peers(_: Config) -> Iterator[Finding]:
    for first, second in itertools.combinations(range(torch.cuda.device_count()), 2):
        what = f"GPU {first}-{second}"
        if not gpu_peers.can_access(first, second):
            text = "no peer access: averages would go through the host; choose another pair (nvidia-smi topo -m)"
            yield Finding(what=what, state="slow", text=text)
            continue
        speed = gpu_peers.copy_speed(first, second)
        fast = speed >= _PEER_BYTES_S
        more = "" if fast else "; slower than PCIe 4: look at nvidia-smi topo -m and at IOMMU / ACS settings"
        yield Finding(what=what, state="fine" if fast else "slow", text=f"peer access, {speed / _GB:.0f} GB/s{more}")


def _memory(_: Config) -> Iterator[Finding]:
    free = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0
    enough = free >= _SHM_BYTES or not torch.cuda.is_available()
    text = f"{free / _GB:.3f} GB free; only CUDA needs some, workers share memory that is not limited by it"
    more = "" if enough else "; give it more: docker run --shm-size 64m, or mount -o remount,size=64M /dev/shm"
    yield Finding(what="/dev/shm", state="fine" if enough else "slow", text=text + more)


def _limits(_: Config) -> Iterator[Finding]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    many = files == resource.RLIM_INFINITY or files >= _OPEN_FILES
    text = f"{files if files != resource.RLIM_INFINITY else 'any number of'} open files"
    more = "" if many else f"; a loader may want {_OPEN_FILES}: ulimit -Hn, or /etc/security/limits.conf"
    yield Finding(what="ulimits", state="fine" if many else "slow", text=text + more)
    place = Path(tempfile.gettempdir())
    free = shutil.disk_usage(place).free
    state: Literal["fine", "bad"] = "fine" if os.access(place, os.W_OK) and free > 10e6 else "bad"
    more = "" if state == "fine" else "; sockets lie here: make room, or set TMPDIR"
    yield Finding(what="temporary", state=state, text=f"{place}, {free / _GB:.1f} GB free{more}")


def _data(config: Config) -> Iterator[Finding]:
    try:
        data = source_kind(config.data.source).describe(config.data)
    except UserError as error:
        yield Finding(what="data set", state="bad", text=str(error))
        return
    text = f"{data.where}: {data.count('train'):,} training and {data.count('val'):,} validation images, whole"
    yield Finding(what="data set", state="fine", text=text)
    at = layout(config.data.dir, config.data.misc_dir)
    if config.data.source != "hickle" or not at.manifest.exists():
        return  # what is not read as it lies is not held up by the disk
    manifest = read_manifest(at)
    folder = at.batch_dir("train", manifest.file_batch_size)
    speed = disk.read_speed(folder / file.name for file in manifest.train.files)
    images = speed / (manifest.img_size**2 * 3)
    text = f"{speed / _GB:.2f} GB/s, {images:,.0f} images/s"
    fast = speed >= _DISK_BYTES_S
    more = "" if fast else "; too little for a fast GPU unless memory can hold the data set: use a local NVMe disk"
    yield Finding(what="disk", state="fine" if fast else "slow", text=text + more)


CHECKS: tuple[Check, ...] = (_python, _torch, _devices, _peers, _memory, _limits, _data)

if __name__ == "__main__":
    sys.exit(report_errors(main))
