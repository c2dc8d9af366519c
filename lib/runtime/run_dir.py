"""Claim the folder of a run."""

import errno
import itertools
import os
import shutil
from pathlib import Path

from ..config.schema import RunConfig
from ..errors import ConfigError
from ..recording.metrics_log import read_lines
from ..recording.settings_log import Settings, continued, describe_history, read_history, record
from ..system.atomic_write import replace_file

# Without the lock file and the mark of a start: they belong to the current run.
_RUN_FILES = (
    *("config.yaml", "command.txt", "environment.json", "metrics.jsonl", "settings.jsonl", "val_record.npy"),
    *("train.log", "checkpoints", "report.html", "report", "trace.json.gz", "tensorboard", "wandb"),
    *("wandb_run.txt", "mlflow_run.txt"),
)
# A config.yaml beside one of them is that of a run.
_OWN_FILES = ("command.txt", "environment.json", "metrics.jsonl")


def refuse_foreign_config(folder: Path) -> None:
    """Raise ConfigError if ``folder`` has a config.yaml that no run wrote: a run would replace it."""
    if (folder / "config.yaml").exists() and not any((folder / name).exists() for name in _OWN_FILES):
        raise ConfigError(
            f"run.weights_dir {folder} holds a config.yaml, but no run; the run would replace that file: give it a "
            "folder of its own, e.g. --run.weights_dir models"
        )


def claim_run_dir(run: RunConfig, settings: Settings, resolved_config: str, command: str, *, anew: bool) -> list[str]:
    """Write configuration, command and the history of the settings into the run's folder.

    A run that starts ``anew`` moves the files of an older one into a new subfolder old_1, old_2, ... if resume is never
    or the older one has validated an epoch. Return lines for people: where it moved, and each change of the settings.

    Worker 0 calls this once nothing that the user can fix prevents training: a command that is refused leaves the
    folder as it is.
    """
    aside = _move_older_run(run) if anew else None
    history = continued(read_history(run.weights_dir), settings)
    changes = describe_history(history)
    record(run.weights_dir, history)
    comments = "".join(f"# {change}\n" for change in changes)
    replace_file(run.weights_dir / "command.txt", os.fsencode(f"{command}\n"))
    replace_file(run.weights_dir / "config.yaml", f"{comments}{resolved_config}".encode())
    return [f"moved:    files of an older run, to {aside}"] * bool(aside) + changes


def _move_older_run(run: RunConfig) -> Path | None:
    """Move the files of an older run into a new subfolder. Return it, or None if nothing was moved."""
    folder = run.weights_dir
    older = [folder / name for name in _RUN_FILES if (folder / name).exists()]
    validated = any(entry and entry.kind == "val" for entry, _ in read_lines(folder / "metrics.jsonl"))
    if not older or not (run.resume == "never" or validated):
        return None
    aside = next(path for n in itertools.count(1) if not (path := folder / f"old_{n}").exists())
    aside.mkdir()
    for path in older:
        _move(path, aside)
    return aside


def _move(path: Path, folder: Path) -> None:
    try:
        shutil.move(path, folder)  # copies where the file system refuses to rename, as overlayfs does for folders
    except OSError as error:
        if error.errno != errno.EBUSY or not path.is_dir() or any(path.iterdir()):
            raise  # only a mount point is left, and it is empty


def refuse_changed_settings(folder: Path, now: Settings) -> None:
    """Raise ConfigError if the finished run in ``folder`` was trained with other settings than ``now``."""
    history = [entry for entry in read_history(folder) if entry.position < now.position]
    changed = history and now.changes(history[-1], ignored=("run.n_epochs", "run.stop_after"))
    if changed:
        raise ConfigError(
            f"the run in {folder} is finished, and it had other settings: {changed}; to train on with the new ones "
            "raise run.n_epochs, for a new run give it its own --run.weights_dir"
        )
