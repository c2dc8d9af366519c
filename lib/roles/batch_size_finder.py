"""The batch-size finder role (--find_batch_size): train on ever larger batches of noise until one does not fit."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..data.augment.params import center_params
from ..data.upload import Batch
from ..evaluation.metrics import Meter
from ..exchange.alone import Alone
from ..models.recipes import Recipe
from ..models.registry import model_spec
from ..runtime.process import Context, run_role
from ..system.terminal import print_stdout
from ..training.replica import Replica
from .builders import init_device
from .replica_builder import build_replica
from .step_builder import MAX_FUSED_BATCH

_ITERATIONS = 3
# A full system would kill this process, or others: the CPU's memory is never filled further than this.
_MAX_CPU_MEMORY_SHARE = 0.5


def run(context: Context) -> None:
    """Print a line for each batch size, then the largest that fits and the fastest."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    # A captured step allocates room for batch_size images, and more when a batch needs it: start with little.
    # Compiling for each size would take longer than it tells.
    small = replace(config, batch_size=1, compute=replace(config.compute, compile="never"))
    replica = build_replica(small, data, device, dtype, Alone(device, config.world_size))

    n_images = largest = data.count("train")
    limit = f"the data set's {n_images:,} training images"
    if replica.fused and n_images > MAX_FUSED_BATCH:
        largest, limit = MAX_FUSED_BATCH, f"the kernels, which take {MAX_FUSED_BATCH:,}"
    results: list[tuple[int, float]] = []
    size = 1
    while size <= largest:
        context.client.heartbeat(f"trying batch size {size}", patience_s=10 * config.run.patience_s)
        try:
            seconds = _seconds(replica, size, data.img_size, data.n_classes)
        except (torch.OutOfMemoryError, MemoryError):
            limit = "memory"
            break
        results.append((size, seconds))
        speed = f"{1000 * seconds:>9,.1f} ms an iteration  {size / seconds:>9,.0f} images/s"
        print_stdout(f"batch_size {size:>6}: {speed}")
        size *= 2
    recipe = model_spec(config.model.name).chosen_recipe(config.model.recipe)
    print_stdout(conclusion(results, str(device), limit, recipe))


def conclusion(results: Sequence[tuple[int, float]], device: str, limit: str, recipe: Recipe) -> str:
    """Return what follows from (batch size, seconds per iteration) of all sizes that fit, and from the ``limit``."""
    if not results:
        return f"not even 1 fits {device}"
    fastest, seconds = max(results, key=lambda pair: pair[0] / pair[1])
    rates = "its rate is scaled to yours" if recipe.scales else "with others, consider other rates"
    return (
        f"largest that fits {device}: {results[-1][0]}; limited by {limit}\n"
        f"fastest: {fastest}, {fastest / seconds:,.0f} images/s; use --batch_size {fastest}\n"
        f"the recipe's rates are for {recipe.images} images an update, of all workers: {rates}"
    )


def _seconds(replica: Replica, size: int, img_size: int, n_classes: int) -> float:
    """Return the time of one training iteration. Raises OutOfMemoryError or MemoryError if it does not fit."""
    device = replica.device
    if device.type == "cpu":
        _check_cpu_memory(size, img_size)
    batch = Batch(
        torch.randint(0, 256, (size, img_size, img_size, 3), dtype=torch.uint8, device=device),
        torch.randint(0, n_classes, (size,), device=device),
        torch.from_numpy(center_params(size, img_size=img_size, crop=replica.crop)).to(device),
    )
    meter = Meter(device)
    times = []
    for iteration in range(_ITERATIONS):
        started = time.perf_counter()
        replica.step.gradients(batch, meter, loss_scale=1 / size, iteration=iteration, seed=iteration)
        replica.step.update(lr=1e-6, weight_decay=0.0)
        meter.take()  # waits for the device
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _check_cpu_memory(size: int, img_size: int) -> None:
    """Raise MemoryError if a batch might fill memory: activations take at most some hundred times its images' bytes."""
    with Path("/proc/meminfo").open(encoding="utf-8") as file:
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in file}
    if size * img_size**2 * 3 * 100 > _MAX_CPU_MEMORY_SHARE * kilobytes["MemAvailable"] * 1024:
        raise MemoryError


if __name__ == "__main__":
    sys.exit(run_role("batch_size_finder", run))
