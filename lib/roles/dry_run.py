"""The dry-run role (--dry_run): all parts of a training, a few iterations, an estimate; no run is written."""

import resource
import sys
import time
from dataclasses import replace

import torch
from tqdm import tqdm

from ..config.schema import DataConfig
from ..data.cache import results_folder
from ..evaluation.metrics import Metrics
from ..exchange.base import sums
from ..recording.metric_table import describe
from ..recording.recorder import NullRecorder
from ..runtime.process import Context, run_role
from ..system.terminal import print_stdout
from .builders import init_device, open_feed
from .exchange_builder import build_exchange
from .run_summary import run_summary
from .train_state import build
from .trainer import Trainer

_UPDATES = 4


def run(context: Context) -> None:
    """Make a few updates as the trainer does, on all workers; worker 0 prints the estimate."""
    config, data = context.config, context.sheet.data
    device, dtype = init_device(config, context.rank)
    exchange = build_exchange(context, device)
    state = build(context, exchange, device, dtype)
    at, iterations = state.progress, state.plan.train.iterations
    if at.epoch >= config.run.n_epochs or at.iteration == iterations:  # nothing left to train there
        state.progress = at = replace(at, epoch=0, iteration=0)
    feed = open_feed(context, state.plan, state.plan.run(at.epoch, at.iteration), device)
    trainer = Trainer(context, state, feed, NullRecorder())
    seconds = _seconds_per_iteration(trainer, device)
    totals, _ = trainer.metrics.meter.take()
    gathered = exchange.all_gather([_gigabytes(device), *totals])
    metrics, gigabytes = Metrics.of(sums(gathered)[1:]), max(row[0] for row in gathered)
    if context.rank == 0:
        epoch = tqdm.format_interval(seconds * iterations)  # validation takes a small part of it
        total = tqdm.format_interval(seconds * iterations * config.run.n_epochs)
        print_stdout(run_summary(config, data, state.replica, dtype, iterations))
        if state.replica.split:
            print_stdout(f"split:    {state.replica.split}")
        print_stdout(state.origin or "resumes:  nothing, it starts anew")
        print_stdout(f"trial:    {describe(metrics)} over {metrics.images:,} images")
        print_stdout(f"memory:   {gigabytes:.2f} GB {'GPU memory' if device.type == 'cuda' else 'memory of a trainer'}")
        print_stdout(f"time:     {1000 * seconds:,.1f} ms an iteration, {epoch} of training an epoch, {total} in all")
        print_stdout(f"everything is in order; {written(config.data)}")
    state.replica.step.close()
    exchange.close()
    feed.close()


def written(data: DataConfig) -> str:
    """Return what the dry run has left on disk: some sources keep the results of their checks for the training."""
    folder = results_folder(data)
    if not folder:
        return "nothing was written"
    return f"no run was written; lists of images and their mean are kept in {folder}"


def _seconds_per_iteration(trainer: Trainer, device: torch.device) -> float:
    """Make the updates. The first, which allocates memory and chooses kernels, is not timed."""
    at, iterations = trainer.progress, trainer.plan.train.iterations
    trainer.train_update()
    started, first = _now(device), at.iteration
    for _ in range(_UPDATES - 1):
        if at.iteration < iterations:
            trainer.train_update()
    return (_now(device) - started) / max(1, at.iteration - first)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _gigabytes(device: torch.device) -> float:
    """Return the peak memory of the GPU, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    sys.exit(run_role("dry_run", run))
