"""train.py and train_2gpu.py: check everything that the user can fix, then start the processes of the training."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..config.schema import Config
from ..errors import ConfigError
from ..runtime.restarts import mark_start, resume_after_restart
from ..runtime.run_dir import refuse_foreign_config
from ..runtime.torchrun import place_workers
from ..system.atomic_write import remove_partials
from ..system.file_lock import open_lock_file, try_lock
from ..system.terminal import print_stderr
from .configuration import parse_config
from .pretrained import fetch_weights
from .report_errors import report_errors
from .run import check_run, run_roles, worker_roles

_EXIT_STATUS = """
exit status: 0 done; 1 a process failed, was lost or killed; 2 an error that you can fix, in one line;
  130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP), 138 (SIGUSR1), 140 (SIGUSR2), 152 (SIGXCPU) stopped after saving a
  checkpoint: the same command continues from it
"""
# What --help lists. There are more than 100 others.
_USUAL_KEYS = (
    *("run.weights_dir", "run.n_epochs", "run.stop_after", "run.resume", "data.source", "data.dir", "data.val_share"),
    *("data.img_size", "data.decoders", "model.name", "model.weights", "optimizer.learning_rate"),
    *("optimizer.weight_decay", "logging.print_freq", "devices", "batch_size"),
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What train.py does instead of training."""

    dry_run: bool = False
    """check everything, run a few iterations, estimate memory and time; write no run"""

    find_batch_size: bool = False
    """try larger and larger batches on the first device; print the largest that fits and the fastest"""

    find_learning_rate: bool = False
    """make up to 100 updates with rising learning rates; suggest one, and draw the losses to
    weights_dir/learning_rate.png"""

    def __post_init__(self) -> None:
        given = [f"--{name}" for name, value in vars(self).items() if value]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} exclude each other; give one of them")


@report_errors
def train(description: str, spec: Path) -> int:
    """Run train.py or train_2gpu.py, which differ in their default ``spec``. Returns the exit status."""
    config, options = parse(sys.argv[1:], description + _EXIT_STATUS, spec)
    devices, ranks = place_workers(config.devices, config.exchange.method, os.environ)
    config = replace(config, devices=devices)
    data = check_run(config)
    if options.find_batch_size:
        return run_roles(replace(config, devices=config.devices[:1]), data, [("batch_size_finder", 0)])
    if options.dry_run:
        return run_roles(config, data, worker_roles(ranks, "dry_run"))
    if options.find_learning_rate:
        return run_roles(for_sweep(config), data, worker_roles(ranks, "learning_rate_finder"))
    roles = worker_roles(ranks, "trainer")
    if 0 not in ranks:  # worker 0, on another machine, owns the run's folder
        return run_roles(config, data, roles)
    config = replace(config, run=resume_after_restart(config.run, os.environ))
    fetch_weights(config)
    with locked_run_dir(config) as lock:
        return run_roles(config, data, roles, lock=lock)


def for_sweep(config: Config) -> Config:
    """Return the configuration of a sweep over learning rates: from the start, without validations within an epoch."""
    fetch_weights(config)
    run, logging = replace(config.run, resume="never"), replace(config.logging, val_freq=0)
    return replace(config, run=run, logging=logging)


def parse(argv: Sequence[str], description: str, spec: Path) -> tuple[Config, TrainOptions]:
    """Return the configuration and the other options. Raises ConfigError."""
    shortcuts = ("--profile", "--quiet", "--debug")
    return parse_config(
        argv, description=description, spec=spec, options=TrainOptions, shortcuts=shortcuts, usual=_USUAL_KEYS
    )


@contextlib.contextmanager
def locked_run_dir(config: Config) -> Iterator[int]:
    """Create and lock the run's folder; yield the descriptor of the lock. Raises ConfigError if another run holds it.

    Files of an older run stay as they are: worker 0's trainer replaces them once it knows that it can train.
    """
    folder = config.run.weights_dir
    refuse_foreign_config(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_lock_file(folder / ".lock")
    except OSError as error:
        raise ConfigError(f"run.weights_dir {folder} cannot be written: {error.strerror}; name another") from None
    try:
        try:
            if not try_lock(lock):
                raise ConfigError(f"another run is training in {folder}; give this one its own --run.weights_dir")
        except OSError as error:
            print_stderr(
                f"warning: {folder} cannot be locked ({error.strerror}): let no other run train there at the same time"
            )
        mark_start(config.run, os.environ)
        yield lock
        remove_partials(folder / "checkpoints")
    finally:
        os.close(lock)
