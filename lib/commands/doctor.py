"""Check whether this machine and a data set are fit for training: one line per check, with what to do.

examples:
  python -m lib.commands.doctor
  python -m lib.commands.doctor --data.dir /fast/imagenet
  python -m lib.commands.doctor --spec spec_2gpu.yaml --data.dir data
"""

import itertools
import os
import platform
import resource
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..config.schema import Config
from ..data.cache_choice import found_caches
from ..data.packed.layout import layout
from ..data.packed.manifest import read_manifest
from ..data.sources.registry import source_kind, source_name
from ..errors import UserError
from ..system import disk
from ..system.cpus import free_cores
from ..system.program import as_called, settings_file
from .configuration import parse_config
from .report_errors import report_errors

_GB = 1e9
# A loader keeps batch files open up to 0.4 of the limit. With a lower limit it reopens them all the time.
_OPEN_FILES = 1024
# CUDA keeps small files in /dev/shm for GPU memory that processes share.
_SHM_BYTES = 16e6
# 5,000 images of 256 x 256 x 3 bytes per second. The fastest GPUs need ten times as much, which only memory can give.
_DISK_BYTES_S = 1.0 * _GB
_PEER_BYTES_S = 10 * _GB


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check. ``bad`` prevents training, ``slow`` slows it down."""

    subject: str
    state: Literal["fine", "slow", "bad"]
    text: str


_KEYS = ("data.source", "data.dir", "data.misc_dir", "data.img_size", "data.decoders", "devices", "exchange.method")


@report_errors
def main() -> int:
    """Run all checks and print their findings. Returns the exit status, 2 if a finding is bad."""
    config, _ = parse_config(
        sys.argv[1:],
        description=as_called(str(__doc__)),
        spec=settings_file("spec_1gpu.yaml"),
        usual=_KEYS,
        prog=as_called("python -m lib.commands.doctor"),
    )
    return print_findings(run_checks(config), color=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def run_checks(config: Config) -> Iterator[Finding]:
    """Yield the findings of every check."""
    for check in (_python, _torch, _devices, _peers, _memory, _limits, _data, _caches):
        yield from check(config)


def print_findings(findings: Iterator[Finding], *, color: bool) -> int:
    """Print the findings and return the exit status, 2 if one is bad."""
    colors = {"fine": "\033[32m", "slow": "\033[33m", "bad": "\033[31m"}
    status = 0
    for finding in findings:
        state = f"{colors[finding.state]}{finding.state:<4}\033[0m" if color else f"{finding.state:<4}"
        print(f"{state}  {finding.subject:<11} {finding.text}", flush=True)
        if finding.state == "bad":
            status = 2
    return status


def _finding(subject: str, fine: bool, text: str, fix: str, *, otherwise: Literal["slow", "bad"] = "bad") -> Finding:
    """Return a finding whose text ends with the ``fix`` unless it is fine."""
    return Finding(
        subject=subject, state="fine" if fine else otherwise, text=text if fine else f"{text}; {as_called(fix)}"
    )


def _python(_: Config) -> Iterator[Finding]:
    text = f"{platform.python_version()} at {sys.executable}"
    yield _finding("Python", sys.version_info >= (3, 11), text, "install 3.11 or newer")


def _torch(_: Config) -> Iterator[Finding]:
    import torch  # noqa: PLC0415  (takes a second, which --help need not wait for)

    from ..roles.run_summary import pluralize  # noqa: PLC0415

    yield Finding(subject="torch", state="fine", text=f"{torch.__version__}, {pluralize(free_cores(), 'CPU thread')}")
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        text = ", ".join(f"{gpu.name} ({gpu.total_memory / _GB:.0f} GB)" for gpu in gpus)
        yield Finding(subject="CUDA", state="fine", text=f"{torch.version.cuda}: {text}")
        return
    driver = shutil.which("nvidia-smi") is not None
    fix = "install a torch built for CUDA (https://pytorch.org/get-started); check CUDA_VISIBLE_DEVICES and nvidia-smi"
    text = "there is a driver, but torch finds no GPU" if driver else "no GPU: training runs on the CPU"
    yield _finding("CUDA", not driver, text, fix)


def _devices(config: Config) -> Iterator[Finding]:
    import torch  # noqa: PLC0415

    from ..system.devices import choose_device  # noqa: PLC0415

    n_gpus = torch.cuda.device_count()
    try:
        chosen = [str(choose_device(config.devices, rank, n_gpus)) for rank in range(config.world_size)]
    except UserError as error:
        yield Finding(subject="devices", state="bad", text=str(error))
        return
    yield Finding(subject="devices", state="fine", text=f"training would use {', '.join(chosen)}")


def _peers(_: Config) -> Iterator[Finding]:
    import torch  # noqa: PLC0415

    from ..system import gpu_peers  # noqa: PLC0415

    for first, second in itertools.combinations(range(torch.cuda.device_count()), 2):
        subject = f"GPU {first}-{second}"
        if not gpu_peers.can_access(first, second):
            text = "no peer access: exchanges go through the host; choose another pair (nvidia-smi topo -m)"
            yield Finding(subject=subject, state="slow", text=text)
            continue
        speed = gpu_peers.copy_speed(first, second)
        fix = "slower than PCIe 4: check nvidia-smi topo -m and the IOMMU and ACS settings"
        text = f"peer access, {speed / _GB:.0f} GB/s"
        yield _finding(subject, speed >= _PEER_BYTES_S, text, fix, otherwise="slow")


def _memory(_: Config) -> Iterator[Finding]:
    import torch  # noqa: PLC0415

    free = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0
    enough = free >= _SHM_BYTES or not torch.cuda.is_available()
    text = f"{free / _GB:.3f} GB free; only CUDA uses it, workers share other memory"
    fix = "enlarge it: docker run --shm-size 64m, or mount -o remount,size=64M /dev/shm"
    yield _finding("/dev/shm", enough, text, fix, otherwise="slow")


def _limits(_: Config) -> Iterator[Finding]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    unlimited = files == resource.RLIM_INFINITY
    text = f"{'any number of' if unlimited else files} open files"
    fix = f"a loader may need {_OPEN_FILES}: raise it with ulimit -Hn or /etc/security/limits.conf"
    yield _finding("ulimits", unlimited or files >= _OPEN_FILES, text, fix, otherwise="slow")
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    text, fix = f"{folder}, {free / _GB:.1f} GB free", "sockets are created there: make room, or set TMPDIR"
    yield _finding("temporary", os.access(folder, os.W_OK) and free > 10e6, text, fix)


def _data(config: Config) -> Iterator[Finding]:
    try:
        data = source_kind(config.data).describe(config.data)
    except UserError as error:
        yield Finding(subject="data set", state="bad", text=str(error))
        return
    text = f"{data.where}: {data.count('train'):,} training and {data.count('val'):,} validation images, complete"
    yield Finding(subject="data set", state="fine", text=text)
    at = layout(config.data.dir, config.data.misc_dir)
    if source_name(config.data) != "hickle" or not at.manifest.exists():
        return  # other sources are limited by decoding, not by the disk
    manifest = read_manifest(at)
    folder = at.batch_dir("train", manifest.file_batch_size)
    speed = disk.read_speed(folder / file.name for file in manifest.train.files)
    text = f"{speed / _GB:.2f} GB/s, {speed / (manifest.img_size**2 * 3):,.0f} images/s"
    fix = "too slow for a fast GPU unless the data set fits into memory: use a local NVMe disk"
    yield _finding("disk", speed >= _DISK_BYTES_S, text, fix, otherwise="slow")


def _caches(config: Config) -> Iterator[Finding]:
    for cache in found_caches(config.data):
        text = f"{cache.folder}: {cache.images:,} decoded images, {cache.n_bytes / _GB:.3f} GB; to remove it: "
        yield Finding(subject="cache", state="fine", text=text + shlex.join(["rm", "-r", str(cache.folder)]))


if __name__ == "__main__":
    sys.exit(main())
