"""The rehearsal role (--dry_run): all of a training's parts, a few iterations, an estimate; nothing is written."""

import resource
import sys
import time
from dataclasses import dataclass

import torch

from lib.checkpoints.snapshots import Progress, Snapshots, spread
from lib.data.plan import Plan
from lib.exchange.base import sums
from lib.recording.console import describe
from lib.recording.metrics import Figures, Meter
from lib.recording.pace import clock_time
from lib.roles.introduction import introduction
from lib.roles.process import Context, run_role
from lib.roles.setup import identity, join, open_feed, preparation, set_up
from lib.training.replica import Replica

# The first iteration allocates memory and chooses kernels; the time is taken over the others.
_ITERATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a rehearsal found."""

    figures: Figures
    seconds: float
    """an iteration"""
    gigabytes: float
    """the fullest worker's memory: of its GPU, or of its process"""


def run(context: Context) -> None:
    """Train a few iterations, all workers together; worker 0 says how it went."""
    config, data = context.config, context.sheet.data
    device, dtype = set_up(config, context.rank)
    exchange = join(context, device)
    replica = Replica(config, data, device, dtype, exchange)
    total = config.batch_size * config.world_size
    snapshots = Snapshots(config.run, identity(config, data), preparation(config, data), replica, total)
    start = snapshots.start() if context.rank == 0 else None
    spread(snapshots.restore(start) if start else Progress(), replica, exchange)
    plan = Plan(config, data, rank=context.rank, crop=replica.crop)
    asks = (ask for ask, _ in zip(plan.training(0), range(_ITERATIONS), strict=False))
    feed = open_feed(context, asks, data, device)
    meter = Meter(device)
    count = min(_ITERATIONS, plan.train.iterations)
    began = 0.0
    for iteration in range(count):
        context.hotline.alive(f"rehearsing iteration {iteration + 1}")
        share = config.world_size / plan.train.all_workers_count(iteration)
        key = (0, iteration, context.rank)
        replica.add_gradients(next(feed), meter, share=share, key=key)
        replica.update(rate=config.optimizer.learning_rate, weight_decay=config.optimizer.weight_decay)
        exchange.agree()
        if iteration == 0:
            began = _now(device)
    seconds = (_now(device) - began) / max(1, count - 1)
    totals, _ = meter.take()
    gathered = exchange.gather([_gigabytes(device), *totals])
    figures = Figures.of(sums(gathered)[1:])
    estimate = Estimate(figures=figures, seconds=seconds, gigabytes=max(row[0] for row in gathered))
    if context.rank == 0:
        print(introduction(config, data, replica, dtype))
        print(f"resumes:  {start}" if start else "resumes:  nothing, it starts anew")
        print(told(estimate, plan.train.iterations, config.run.n_epochs, device.type), flush=True)
    exchange.close()
    feed.close()


def told(estimate: Estimate, iterations: int, n_epochs: int, device: str) -> str:
    """The estimate for people: an epoch's time counts training only, as validation takes a small part of it."""
    epoch_s = estimate.seconds * iterations
    memory = "GPU memory" if device == "cuda" else "memory of a trainer"
    return (
        f"trial:    {describe(estimate.figures)} over {estimate.figures.images:,} images\n"
        f"memory:   {estimate.gigabytes:.2f} GB {memory}\n"
        f"time:     {1000 * estimate.seconds:,.1f} ms an iteration, {clock_time(epoch_s)} of training an epoch, "
        f"{clock_time(epoch_s * n_epochs)} in all\n"
        "everything is in order; nothing was written"
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _gigabytes(device: torch.device) -> float:
    """The most memory that was taken so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    sys.exit(run_role("rehearsal", run))
