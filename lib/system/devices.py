"""Choosing a worker's device and setting up its arithmetic."""

import os
import re
import resource
from collections.abc import Sequence

import torch

from ..errors import ConfigError


def choose_device(names: Sequence[str], rank: int, n_gpus: int) -> torch.device:
    """Return the device of worker ``rank``, given the configured name of every worker's device.

    ``auto`` takes the GPUs in turn (two workers share the GPU if there is only one), or the CPU if there is none.
    Raises ConfigError, with the list of available devices, if the device does not exist.
    """
    available = ["cpu", *(f"cuda:{i}" for i in range(n_gpus))]
    name = names[rank]
    if name == "auto":
        autos_before = sum(other == "auto" for other in names[:rank])
        name = f"cuda:{autos_before % n_gpus}" if n_gpus else "cpu"
    if name not in available:
        is_device_name = re.fullmatch(r"auto|cpu|cuda:\d+", name)
        reason = "there is no such device here" if is_device_name else "this is not a device name"
        raise ConfigError(f"devices: {name}: {reason}; use auto or one of: {', '.join(available)}")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return the device with its GPU model, such as ``cuda:0 (NVIDIA H200)``."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def prepare(device: torch.device, *, precision: str, deterministic: bool, threads: int) -> torch.dtype:
    """Set up this process for ``device`` and return the dtype the network computes in.

    ``threads`` is the number of CPU threads; it has no effect on GPUs. Raises ConfigError if the GPU does not support
    ``precision``.
    """
    has_bf16 = False
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = not deterministic
        has_bf16 = torch.cuda.get_device_capability() >= (8, 0)
        if precision in ("bf16", "tf32") and not has_bf16:
            raise ConfigError(f"compute.precision {precision} needs a GPU of compute capability 8.0 or newer; use fp32")
    else:
        torch.set_num_threads(threads)
    if precision == "auto":
        precision = "bf16" if has_bf16 else "fp32"
    tf32 = precision != "fp32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        if device.type == "cuda":
            torch.use_deterministic_algorithms(True)  # the compiler's choices, too
        else:  # without importing the compiler, which takes a second and leaves a folder in TMPDIR
            torch.set_deterministic_debug_mode("error")
    return torch.bfloat16 if precision == "bf16" else torch.float32


def memory_used(device: torch.device) -> int:
    """Return the bytes of ``device`` that this process holds, with what PyTorch keeps for later; on a CPU its peak."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    kilobytes: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024
