"""The fitter role (--find_batch_size): larger and larger batches of noise, until one no longer fits the device."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lib.data.augment.params import center_params
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.exchange.alone import Alone
from lib.models.recipes import Recipe
from lib.models.registry import model_spec
from lib.roles.builders import init_device
from lib.runtime.process import Context, run_role
from lib.training.replica import Replica
from lib.training.step import MOST_FUSED

_ITERATIONS = 3
# A system that ran full would kill us, or others: the CPU's memory is never filled further than this.
_CPU_MEMORY_SHARE = 0.5


def run(context: Context) -> None:
    """Print a line a batch size, and which is the largest that fits, which the fastest."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    # The fused step keeps room for batch_size images, and more where a batch needs it: it is to start with none.
    replica = Replica(replace(config, batch_size=1), data, device, dtype, Alone(device))

    def seconds(size: int) -> float:
        context.client.heartbeat(f"trying batch size {size}", patience_s=10 * config.run.patience_s)
        return _seconds(replica, size, data.img_size, data.n_classes)

    n_images, own_kernels = data.count("train"), not replica.why_not_fused
    most = min(MOST_FUSED, n_images) if own_kernels else n_images
    tried = []
    for size, taken in grow(seconds, most):
        tried.append((size, taken))
        print(
            f"batch_size {size:>6}: {1000 * taken:>9,.1f} ms an iteration  {size / taken:>9,.0f} images/s", flush=True
        )
    limit = "memory"
    if tried and 2 * tried[-1][0] > most:
        limit = (
            f"the data set's {n_images:,} training images"
            if most == n_images
            else f"the kernels, which take {MOST_FUSED:,}"
        )
    print(conclusion(tried, str(device), limit, model_spec(config.model.name).recipe))


def conclusion(tried: Sequence[tuple[int, float]], device: str, limit: str, recipe: Recipe) -> str:
    """What follows from (batch size, seconds an iteration) of all that fitted, and from what kept a larger one away."""
    if not tried:
        return f"not even 1 fits {device}"
    fastest, taken = max(tried, key=lambda pair: pair[0] / pair[1])
    rates = "its rate is scaled to yours" if recipe.scales else "with others, consider other rates"
    return (
        f"largest that fits {device}: {tried[-1][0]}; limited by {limit}\n"
        f"fastest: {fastest}, {fastest / taken:,.0f} images/s; use --batch_size {fastest}\n"
        f"the recipe's rates are for {recipe.images} images an update, of all workers: {rates}"
    )


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
        torch.from_numpy(center_params(size, img_size=img_size, crop=replica.crop)).to(device),
    )
    meter = Meter(device)
    times: list[float] = []
    for iteration in range(_ITERATIONS):
        began = time.perf_counter()
        replica.add_gradients(batch, meter, loss_scale=1 / size, key=(0, iteration, 0))
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
    sys.exit(run_role("batch_size_finder", run))
