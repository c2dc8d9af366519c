"""Which device a worker trains on, and with what arithmetic."""

import os
import re
from collections.abc import Sequence

import torch

from lib.config.schema import ComputeConfig
from lib.errors import ConfigError


def choose_device(wanted: Sequence[str], rank: int, n_gpus: int) -> torch.device:
    """The device of worker ``rank``.

    ``auto`` takes the GPUs in turn (two workers share one where there is only one), or the CPU where there is
    none. Raises ConfigError, listing what there is, for a device that is not there.
    """
    there = ["cpu", *(f"cuda:{i}" for i in range(n_gpus))]
    name = wanted[rank]
    if name == "auto":
        autos_before = sum(other == "auto" for other in wanted[:rank])
        name = f"cuda:{autos_before % n_gpus}" if n_gpus else "cpu"
    if name not in there:
        known = re.fullmatch(r"auto|cpu|cuda:\d+", name)
        reason = "there is no such device here" if known else "that is no device name"
        raise ConfigError(f"devices: {name}: {reason}; there are {', '.join(there)}, or say auto")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device for people: ``cuda:0 (NVIDIA H200)``."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def prepare(device: torch.device, compute: ComputeConfig, n_cpu_workers: int) -> torch.dtype:
    """Set this process up for ``device`` and return the type the network computes in."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
        precision = _gpu_precision(compute.precision)
        torch.backends.cudnn.benchmark = not compute.deterministic
    else:
        precision = "fp32" if compute.precision == "auto" else compute.precision
        torch.set_num_threads(compute.threads or max(1, len(os.sched_getaffinity(0)) // n_cpu_workers))
    tf32 = precision != "fp32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    if compute.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _gpu_precision(wanted: str) -> str:
    has_bf16 = torch.cuda.get_device_capability() >= (8, 0)
    if wanted == "auto":
        return "bf16" if has_bf16 else "fp32"
    if wanted in ("bf16", "tf32") and not has_bf16:
        raise ConfigError(f"compute.precision {wanted} needs a GPU of compute capability 8.0 or newer; use fp32")
    return wanted
