"""From a command line to a finished run: read the configuration, check everything, start the processes.

What the user can mend is found here if it can be, before any process is started.
"""

import contextlib
import dataclasses
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lib.config.command_line import parse, report_errors
from lib.config.schema import Config
from lib.config.switches import EXIT_STATUS, TRAINING, VALIDATION, take_switches
from lib.data.dataset import DataSet, check_batch_size
from lib.data.sources.registry import source_kind
from lib.errors import ConfigError
from lib.evaluation.options import Evaluation
from lib.models.registry import model_spec
from lib.recording.log import open_log
from lib.recording.refresher import Refresher
from lib.recording.trackers.registry import check_trackers
from lib.runtime.placement import place
from lib.runtime.process import RunSheet, has_started, write_run_sheet
from lib.runtime.socket_dir import run_folder
from lib.runtime.supervisor import Outcome, Supervisor
from lib.runtime.torchrun_restarts import go_on_after_restart, mark_start
from lib.system.atomic_write import remove_partials
from lib.system.limits import raise_open_files_limit
from lib.system.terminal import print_stderr


def train(description: str, spec: Path) -> int:
    """The whole of train.py and train_2gpu.py, which differ only in their default ``spec``: the exit status."""

    def main() -> int:
        switches, rest = take_switches(sys.argv[1:], TRAINING)
        config, _ = parse(
            rest, description=description + EXIT_STATUS, config=_beside(spec), spec=spec, switches=TRAINING
        )
        config, ranks = place(config, os.environ)
        data = check(config)
        if switches.find_batch_size:
            return _run(dataclasses.replace(config, devices=config.devices[:1]), data, [("batch_size_finder", 0)])
        if switches.dry_run:
            return _run(config, data, _workers(ranks, "dry_run"))
        if 0 not in ranks:  # worker 0, elsewhere, keeps the run's folder
            return _run(config, data, _workers(ranks, "trainer"))
        config = go_on_after_restart(config, os.environ)
        with _weights_dir(config) as lock:
            return _run(config, data, _workers(ranks, "trainer"), lock=lock)

    return report_errors(main)


def validate(description: str, spec: Path) -> int:
    """The whole of validate.py: the figures of one checkpoint over all validation images."""

    def main() -> int:
        _, rest = take_switches(sys.argv[1:], VALIDATION)
        config, evaluation = parse(
            rest,
            description=description,
            config=_beside(spec),
            spec=spec,
            options=Evaluation,
            switches=VALIDATION,
        )
        data = check(config)
        return _run(config, data, _workers(range(config.world_size), "validator"), evaluation=evaluation)

    return report_errors(main)


def check(config: Config) -> DataSet:
    """The data set. Raises UserError when it is not whole or does not fit the configuration."""
    if config.data.source != "hickle":  # whose images have the size that they were packed with
        model_spec(config.model.name).crop_of(config.data.img_size)  # first: the first look at a data set may take long
    data = source_kind(config.data.source).describe(config.data)
    check_batch_size(
        data, batch_size=config.batch_size, world_size=config.world_size, accumulate=config.optimizer.accumulate
    )
    raise_open_files_limit(
        batch_files=len(data.train_counts) + len(data.val_counts),
        batch_size=config.batch_size,
        world_size=config.world_size,
    )
    check_trackers(config.logging)
    return data


def _workers(ranks: Sequence[int], role: str) -> list[tuple[str, int]]:
    """A loader and a ``role`` for each of these workers."""
    return [(name, rank) for rank in ranks for name in ("loader", role)]


def _report(config: Config) -> None:
    """The page about the finished run; without it the run is no worse."""
    folder = config.run.weights_dir
    if not Refresher(folder).finish():
        print(f"no report; python -m lib.report {folder} says why", file=sys.stderr)


def _beside(spec: Path) -> Path:
    return spec.with_name("config.yaml")


def _run(
    config: Config,
    data: DataSet,
    roles: Sequence[tuple[str, int]],
    *,
    lock: int | None = None,
    evaluation: Evaluation | None = None,
) -> int:
    fix = _fix(config) if ("trainer", 0) in roles else ""
    with run_folder() as folder:
        write_run_sheet(folder, RunSheet(config, data, os.getpid(), _command(), evaluation))
        outcome = Supervisor(folder, roles, config.run.patience_s, fix=fix, lock=lock).run()
        begun = has_started(folder)
    if outcome.message:
        kind = "" if outcome.status > 128 else "error: "
        print_stderr(f"{outcome.traceback}{kind}{outcome.message}")
    if begun:
        _log(config.run.weights_dir, outcome)
        if outcome.status == 0 and config.logging.report:
            _report(config)
    return outcome.status


def _command() -> str:
    """What the user typed, and where."""
    return f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(['python', *sys.argv])}"


def _fix(config: Config) -> str:
    """How to go on with a training that has ended early."""
    if config.run.resume == "auto":
        return "Start the same command again to go on from the last checkpoint."
    return "Start the same command again with --run.resume auto to go on from the last checkpoint."


def _log(weights_dir: Path, outcome: Outcome) -> None:
    log = open_log(weights_dir, "supervisor")
    log.info("ended with status %d%s", outcome.status, f": {outcome.message}" if outcome.message else "")
    if outcome.traceback:
        log.info("%s", outcome.traceback)


@contextlib.contextmanager
def _weights_dir(config: Config) -> Iterator[int]:
    """While inside the run's folder is there and ours alone: the file by whose lock it is.

    What lies in it is left alone: worker 0's trainer takes possession of it, once it knows that it can train.
    """
    folder = config.run.weights_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"run.weights_dir {folder} cannot be written: {error.strerror}") from None
    try:
        _claim(folder, lock)
        mark_start(config, os.environ)
        yield lock
        remove_partials(folder / "checkpoints")
    finally:
        os.close(lock)


def _claim(folder: Path, lock: int) -> None:
    """Raises ConfigError where another run has the folder. Where the disk knows no locks that is the user's concern."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another run is training in {folder}; give this one its own --run.weights_dir") from None
    except OSError as error:
        print_stderr(
            f"warning: {folder} cannot be locked ({error.strerror}): let no other run train there at the same time"
        )
