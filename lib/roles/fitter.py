"""The fitter role (--find_batch_size): larger and larger batches of noise, until one no longer fits the device."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lib.data.upload import Batch
from lib.data.views import center_views
from lib.exchange.alone import Alone
from lib.recording.metrics import Meter
from lib.roles.process import Context, run_role
from lib.roles.setup import set_up
from lib.training.replica import Replica
from lib.training.steps import MOST_FUSED

_ITERATIONS = 3
# A system that ran full would kill us, or others: the CPU's memory is never filled further than this.
_CPU_MEMORY_SHARE = 0.5


def run(context: Context) -> None:
    """Print a line a batch size, and the largest that fits."""
    config, data = context.config, context.sheet.data
    device, dtype = set_up(config, context.rank)
    # The fused step keeps room for batch_size images, and more where a batch needs it: it is to start with none.
    replica = Replica(replace(config, batch_size=1), data, device, dtype, Alone(device))

    def seconds(size: int) -> float:
        context.hotline.alive(f"trying batch size {size}", patience_s=10 * config.run.patience_s)
        return _seconds(replica, size, data.img_size, data.n_classes)

    best, most = 0, data.count("train") if replica.why_not_fused else min(MOST_FUSED, data.count("train"))
    for size, taken in grow(seconds, most):
        best = size
        print(
            f"batch_size {size:>6}: {1000 * taken:>9,.1f} ms an iteration  {size / taken:>9,.0f} images/s", flush=True
        )
    print(f"largest that fits {device}: {best}; use --batch_size {best}" if best else f"not even 1 fits {device}")


def grow(seconds: Callable[[int], float], limit: int) -> Iterator[tuple[int, float]]:
    """(batch size, seconds an iteration) of 1, 2, 4, ... as long as they fit, at most ``limit``."""
    size = 1
    while size <= limit:
        try:
            yield size, seconds(size)
        except (torch.OutOfMemoryError, MemoryError):
            return
        size *= 2


def _seconds(replica: Replica, size: int, img_size: int, n_classes: int) -> float:
    """Time of one training iteration. Raises OutOfMemoryError or MemoryError where it does not fit."""
    device = replica.device
    if device.type == "cpu":
        _refuse_to_fill_memory(size, img_size)
    batch = Batch(
        torch.randint(0, 256, (size, img_size, img_size, 3), dtype=torch.uint8, device=device),
        torch.randint(0, n_classes, (size,), device=device),
        torch.from_numpy(center_views(size, img_size=img_size, crop=replica.crop)).to(device),
    )
    meter = Meter(device)
    times: list[float] = []
    for iteration in range(_ITERATIONS):
        began = time.perf_counter()
        replica.add_gradients(batch, meter, share=1 / size, key=(0, iteration, 0))
        replica.update(rate=1e-6, weight_decay=0.0)
        meter.take()  # waits for the device
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def _refuse_to_fill_memory(size: int, img_size: int) -> None:
    """A guess from above: a network's activations take some hundred times the bytes of its images."""
    with Path("/proc/meminfo").open(encoding="utf-8") as file:
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in file}
    if size * img_size**2 * 3 * 100 > _CPU_MEMORY_SHARE * kilobytes["MemAvailable"] * 1024:
        raise MemoryError


if __name__ == "__main__":
    sys.exit(run_role("fitter", run))
