"""The dry-run role (--dry_run): all parts of a training, a few iterations, an estimate; nothing is written."""

import resource
import sys
import time
from dataclasses import dataclass, replace

import torch
from tqdm import tqdm

from lib.evaluation.metrics import Metrics
from lib.exchange.base import sums
from lib.recording.metric_table import describe
from lib.recording.recorder import NullRecorder
from lib.roles.builders import init_device, open_feed
from lib.roles.exchange_builder import build_exchange
from lib.roles.run_summary import run_summary
from lib.roles.train_state import build
from lib.roles.trainer import Trainer
from lib.runtime.process import Context, run_role

_UPDATES = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The result of a dry run."""

    metrics: Metrics
    seconds: float
    """per iteration"""
    gigabytes: float
    """of the worker that uses most: its GPU's memory, or its process's"""


def run(context: Context) -> None:
    """Make a few updates as the trainer does, on all workers; worker 0 prints the estimate."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    exchange = build_exchange(context, device)
    state = build(context, exchange, device, dtype)
    at = state.progress
    if at.epoch >= config.run.n_epochs or at.iteration == state.plan.train.iterations:  # nothing left to train there
        state.progress = at = replace(at, epoch=0, iteration=0)
    feed = open_feed(context, state.plan.run(at.epoch, at.iteration), data, device)
    trainer = Trainer(context, state, feed, NullRecorder())
    seconds = _seconds_per_iteration(trainer, device)
    totals, _ = trainer.metrics.meter.take()
    gathered = exchange.all_gather([_gigabytes(device), *totals])
    metrics = Metrics.of(sums(gathered)[1:])
    estimate = Estimate(metrics=metrics, seconds=seconds, gigabytes=max(row[0] for row in gathered))
    if context.rank == 0:
        print(run_summary(config, data, state.replica, dtype))
        print(state.origin or "resumes:  nothing, it starts anew")
        print(format_estimate(estimate, state.plan.train.iterations, config.run.n_epochs, device.type), flush=True)
    exchange.close()
    feed.close()


def _seconds_per_iteration(trainer: Trainer, device: torch.device) -> float:
    """Make the updates. The first, which allocates memory and chooses kernels, is not timed."""
    at, iterations = trainer.progress, trainer.plan.train.iterations
    trainer.train_update()
    began, first = _now(device), at.iteration
    for _ in range(_UPDATES - 1):
        if at.iteration < iterations:
            trainer.train_update()
    return (_now(device) - began) / max(1, at.iteration - first)


def format_estimate(estimate: Estimate, iterations: int, n_epochs: int, device: str) -> str:
    """Return the estimate as text. An epoch's time is that of training: validation takes a small part of it."""
    epoch_s = estimate.seconds * iterations
    epoch, run = tqdm.format_interval(epoch_s), tqdm.format_interval(epoch_s * n_epochs)
    memory = "GPU memory" if device == "cuda" else "memory of a trainer"
    return (
        f"trial:    {describe(estimate.metrics)} over {estimate.metrics.images:,} images\n"
        f"memory:   {estimate.gigabytes:.2f} GB {memory}\n"
        f"time:     {1000 * estimate.seconds:,.1f} ms an iteration, {epoch} of training an epoch, {run} in all\n"
        "everything is in order; nothing was written"
    )


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _gigabytes(device: torch.device) -> float:
    """Return the peak memory so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    sys.exit(run_role("dry_run", run))
