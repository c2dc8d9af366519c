"""The rehearsal role (--dry_run): all of a training's parts, a few iterations, an estimate; nothing is written."""

import resource
import sys
import time
from dataclasses import dataclass, replace

import torch

from lib.evaluation.metrics import Metrics
from lib.exchange.base import sums
from lib.recording.console import describe
from lib.recording.eta import clock_time
from lib.recording.recorder import NullRecorder
from lib.roles.builders import init_device, join, open_feed
from lib.roles.run_summary import run_summary
from lib.roles.train_state import build
from lib.roles.trainer import Trainer
from lib.runtime.process import Context, run_role

_UPDATES = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a rehearsal found."""

    figures: Metrics
    seconds: float
    """an iteration"""
    gigabytes: float
    """the fullest worker's memory: of its GPU, or of its process"""


def run(context: Context) -> None:
    """Make a few updates as the trainer does, all workers together; worker 0 says how that went."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    exchange = join(context, device)
    parts = build(context, exchange, device, dtype)
    at = parts.progress
    if at.epoch >= config.run.n_epochs or at.iteration == parts.plan.train.iterations:  # no training to come there
        parts.progress = at = replace(at, epoch=0, iteration=0)
    feed = open_feed(context, parts.plan.run(at.epoch, at.iteration), data, device)
    trainer = Trainer(context, parts, feed, NullRecorder())
    seconds = _seconds_an_iteration(trainer, device)
    totals, _ = trainer.deferred_metrics.meter.take()
    gathered = exchange.all_gather([_gigabytes(device), *totals])
    figures = Metrics.of(sums(gathered)[1:])
    estimate = Estimate(figures=figures, seconds=seconds, gigabytes=max(row[0] for row in gathered))
    if context.rank == 0:
        print(run_summary(config, data, parts.replica, dtype))
        print(parts.origin or "resumes:  nothing, it starts anew")
        print(told(estimate, parts.plan.train.iterations, config.run.n_epochs, device.type), flush=True)
    exchange.close()
    feed.close()


def _seconds_an_iteration(trainer: Trainer, device: torch.device) -> float:
    """Make the updates; the time is that of all but the first, which allocates memory and chooses kernels."""
    at, iterations = trainer.progress, trainer.plan.train.iterations
    trainer.train_update()
    began, first = _now(device), at.iteration
    for _ in range(_UPDATES - 1):
        if at.iteration < iterations:
            trainer.train_update()
    return (_now(device) - began) / max(1, at.iteration - first)


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
    sys.exit(run_role("dry_run", run))
