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

from lib.command_line.parse import parse, report_errors
from lib.command_line.resolved import resolved
from lib.command_line.switches import EXIT_STATUS, TRAINING, VALIDATION, take_switches
from lib.config import Config
from lib.data.checks import check_batch_size
from lib.data.data_set import DataSet
from lib.data.sources import source_kind
from lib.errors import ConfigError
from lib.evaluation.options import Evaluation
from lib.machine.durable import sweep
from lib.machine.limits import allow_many_files
from lib.machine.placement import place
from lib.machine.run_folder import run_folder
from lib.recording.log import open_log
from lib.recording.refresher import Refresher
from lib.recording.terminal import tell
from lib.restarts import go_on_after_restart, mark_start
from lib.roles.process import RunSheet, write_run_sheet
from lib.supervisor import Outcome, Supervisor
from lib.trackers.registry import check_trackers


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
            return _run(dataclasses.replace(config, devices=config.devices[:1]), data, [("fitter", 0)])
        if switches.dry_run:
            return _run(config, data, _workers(ranks, "rehearsal"))
        if 0 not in ranks:  # worker 0, elsewhere, keeps the run's folder
            return _run(config, data, _workers(ranks, "trainer"))
        config = go_on_after_restart(config, os.environ)
        with _weights_dir(config) as (folder, lock):
            status = _run(config, data, _workers(ranks, "trainer"), folder, lock=lock)
            if status == 0 and config.logging.report:
                _report(config)
            return status

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
    data = source_kind(config.data.source).describe(config.data)
    check_batch_size(config, data)
    allow_many_files(config, data)
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
    weights_dir: Path | None = None,
    *,
    lock: int | None = None,
    evaluation: Evaluation | None = None,
) -> int:
    way_out = _way_out(config) if ("trainer", 0) in roles else ""
    with run_folder() as folder:
        write_run_sheet(folder, RunSheet(config, data, os.getpid(), evaluation))
        outcome = Supervisor(folder, roles, config.run.patience_s, way_out=way_out, lock=lock).run()
    if outcome.message:
        kind = "" if outcome.status > 128 else "error: "
        tell(f"{outcome.traceback}{kind}{outcome.message}")
    if weights_dir:
        _log(weights_dir, outcome)
    return outcome.status


def _way_out(config: Config) -> str:
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
def _weights_dir(config: Config) -> Iterator[tuple[Path, int]]:
    """The run's folder, ours alone while inside, with the resolved configuration in it; and the file by whose lock
    it is ours.
    """
    folder = config.run.weights_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"run.weights_dir {folder} cannot be written: {error.strerror}") from None
    try:
        _claim(folder, lock)
        if config.run.resume == "never":
            _move_aside(folder)
        (folder / "config.yaml").write_text(resolved(config), encoding="utf-8")
        command = shlex.join(["python", *sys.argv])
        (folder / "command.txt").write_text(f"cd {shlex.quote(str(Path.cwd()))} && {command}\n", encoding="utf-8")
        mark_start(config, os.environ)
        yield folder, lock
        sweep(folder / "checkpoints")
    finally:
        os.close(lock)


def _claim(folder: Path, lock: int) -> None:
    """Raises ConfigError where another run has the folder. Where the disk knows no locks that is the user's concern."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another run is training in {folder}; give this one its own --run.weights_dir") from None
    except OSError as error:
        tell(f"warning: {folder} cannot be locked ({error.strerror}): let no other run train there at the same time")


def _move_aside(folder: Path) -> None:
    """Move an older run out of the way, into old_1, old_2, ...; nothing is deleted."""
    ours = (
        *("config.yaml", "metrics.jsonl", "val_record.npy", "checkpoints", "train.log", "command.txt"),
        *("environment.json", "tensorboard", "report.html", "report", "trace.json.gz"),
    )
    found = [folder / name for name in ours if (folder / name).exists()]
    if found:
        number = 1
        while (aside := folder / f"old_{number}").exists():
            number += 1
        aside.mkdir()
        for path in found:
            path.rename(aside / path.name)
