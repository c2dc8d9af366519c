"""What training and validation share: the checks before any process starts, and the run itself."""

import contextlib
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from ..config.load import read_file
from ..config.made_for import parse_made_for
from ..config.schema import Config
from ..data.cache_choice import Cache
from ..data.dataset import DataSet, check_batch_size
from ..data.memory_cache import MemoryCache
from ..data.sources.registry import source_kind, source_name
from ..errors import ConfigError
from ..evaluation.options import Evaluation
from ..models.registry import model_spec
from ..recording.log import open_log
from ..recording.refresher import FINISH_S, Refresher
from ..recording.trackers import check_trackers
from ..runtime.process import RunSheet, has_started, write_run_sheet
from ..runtime.socket_dir import run_folder
from ..runtime.supervisor import Supervisor
from ..runtime.torchrun import local_workers
from ..system.cpus import free_cores
from ..system.limits import raise_open_files_limit
from ..system.program import typed_words
from ..system.terminal import ignore_broken_pipe, print_stderr, print_stdout, printable
from .run_end import end_summary

Roles = Sequence[tuple[str, int]]
"""(role, rank) of every process"""


def check_run(config: Config) -> DataSet:
    """Return the data set. Raises UserError when it is incomplete or does not fit the configuration."""
    check_network(config)
    data = describe(config)
    check_sizes(config, data)
    prepare_files(config, data)
    check_trackers(config.logging)
    return data


def check_network(config: Config) -> None:
    """Raise ConfigError if the network has no such variant, or if images are too small for it."""
    model_spec(config.model.name).check_variant(config.model.variant)
    if source_name(config.data) != "hickle":
        # Packed images have their own size. Other sources may take long to describe, so check their size first.
        model_spec(config.model.name).crop_of(config.data.img_size, config.model.variant)


def check_sizes(config: Config, data: DataSet) -> None:
    """Raise ConfigError if the network cannot be trained on images or batches of these sizes."""
    spec = model_spec(config.model.name)
    spec.check_sizes(config.augment.sizes, spec.crop_of(data.img_size, config.model.variant))
    check_batch_size(
        data, batch_size=config.batch_size, world_size=config.world_size, accumulate=config.optimizer.accumulate
    )


def describe(config: Config) -> DataSet:
    """Return the data set, with the mean color that ``model.made_for`` names. Raises UserError."""
    data = source_kind(config.data).describe(config.data)
    images = parse_made_for("model.made_for", config.model.made_for)
    return structs.replace(data, mean_image=None, mean_color=images.mean) if images and images.mean else data


def prepare_files(config: Config, data: DataSet) -> None:
    """Let the processes of a run open as many files as they need."""
    raise_open_files_limit(
        batch_files=len(data.train_counts) + len(data.val_counts),
        batch_size=config.batch_size,
        world_size=config.world_size,
    )


def worker_roles(ranks: Sequence[int], role: str) -> Roles:
    """Return a loader and a ``role`` for each of these workers."""
    return [(name, rank) for rank in ranks for name in ("loader", role)]


def run_roles(
    config: Config, data: DataSet, roles: Roles, *, lock: int | None = None, evaluation: Evaluation | None = None
) -> int:
    """Start every role under a supervisor, wait for the end and return the exit status.

    ``lock`` is the descriptor whose lock the run holds. ``evaluation`` says what validators do.
    """
    weights_dir = config.run.weights_dir
    config = replace(config, compute=replace(config.compute, threads=_threads(config)))
    command = f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(typed_words())}"
    fix = ""
    if ("trainer", 0) in roles:
        option = "" if config.run.resume == "auto" else " with --run.resume auto"
        fix = f"Start the same command again{option} to continue from the last checkpoint."
    began = time.monotonic()
    with run_folder() as folder:
        cache = choose_cache(config, data, roles)
        held = memory_cache(config, data) if cache == "memory" else None  # in memory that this process owns
        cached = held.splits if held else None
        write_run_sheet(folder, RunSheet(config, data, os.getpid(), command, evaluation, cached, cache))
        outcome = Supervisor(folder, roles, config.run.patience_s, fix=fix, lock=lock).run()
        started, seconds = has_started(folder), time.monotonic() - began
    if outcome.message:
        prefix = "" if outcome.status > 128 else "error: "
        print_stderr(f"{outcome.traceback}{prefix}{outcome.message}")
    if started:
        log = open_log(weights_dir, "supervisor")
        log.info("ended with status %d%s", outcome.status, f": {outcome.message}" if outcome.message else "")
        if outcome.traceback:
            log.info("%s", outcome.traceback)
        if outcome.status == 0 and config.logging.report:
            finish_report(config)
        if outcome.status == 0 and not config.logging.quiet:
            summary = printable(end_summary(config, seconds=seconds))
            log.info("%s", summary)
            with ignore_broken_pipe():
                print(summary, flush=True)
    return outcome.status


def finish_report(config: Config) -> None:
    """Write the report of a training that has ended, and say so: beside other programs it may take minutes."""
    folder = config.run.weights_dir
    if not config.logging.quiet:
        limit = f"up to {FINISH_S} s if other programs are busy; Ctrl-C skips it"
        print_stdout(f"writing {folder / 'report.html'}, {limit} ...")
    if not Refresher(folder).finish():
        print_stderr(f"no report; python -m lib.report {folder} writes it, or prints the reason")


def choose_cache(config: Config, data: DataSet, roles: Roles) -> Cache:
    """Return where a training keeps images, and say so unless it is told. Others keep none. Raises ConfigError."""
    if config.data.cache == "none" or not any(role == "trainer" for role, _ in roles):
        return "none"
    choice, why = source_kind(config.data).choose_cache(config.data, data)
    if choice == "memory" and config.data.cache == "auto" and local_workers(1, os.environ) > 1:
        return "none"  # each worker of torchrun would hold the images
    if why and not config.logging.quiet:
        print_stdout(f"data.cache {why}")
    return choice


def memory_cache(config: Config, data: DataSet) -> MemoryCache:
    """Return all images in memory. Raises UserError."""
    if (workers := local_workers(1, os.environ)) > 1:
        raise ConfigError(
            f"data.cache memory would hold the images {workers} times under torchrun; on one machine train with "
            "exchange.method peer and without torchrun, or set data.cache to none"
        )
    return MemoryCache(source_kind(config.data), config.data, data, print_stderr)


def _threads(config: Config) -> int:
    """Return the CPU threads of each worker: those of the run that may be resumed, or its share of the free cores."""
    if config.compute.threads:
        return config.compute.threads
    with contextlib.suppress(ConfigError, OSError):
        if threads := read_file(config.run.weights_dir / "config.yaml").get("compute.threads"):
            return int(threads)
    n_cpu_workers = sum(not name.startswith("cuda") for name in config.devices)
    return max(1, free_cores() // max(1, n_cpu_workers))
