"""Record the machine and the versions that a run used, in ``weights_dir/environment.json``."""

import json
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..system.atomic_write import replace_file
from ..system.cpus import usable_cores
from ..system.program import version
from ..system.python_module import PACKAGE_DIR

_PACKAGES = ("torch", "numpy", "pyzmq", "hickle", "h5py", "pillow")


def write_environment(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``folder/environment.json``: ``facts``, then machine, devices, versions and git commit."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    content = dict(facts) | {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPU cores": str(usable_cores()),
        "GPUs": gpus or ["none"],
        "tandem": version(),
        "Python": platform.python_version(),
        "CUDA": str(torch.version.cuda or "none"),
        "packages": [f"{name} {_version(name)}" for name in _PACKAGES],
        "git commit": _git_commit(),
    }
    replace_file(folder / "environment.json", (json.dumps(content, indent=2) + "\n").encode())


def _git_commit() -> str:
    """Return the commit of the program, marked if files differ from it; "unknown" outside of its repository."""
    clone = PACKAGE_DIR.resolve().parent
    if not (clone / ".git").exists():  # installed, perhaps within the repository of another program
        return "unknown"
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty= with changes", "--abbrev=12"],
            cwd=clone,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
