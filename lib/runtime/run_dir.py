"""Claim the folder of a run.

Worker 0 calls this once nothing that the user can fix prevents training. A command that is refused leaves the folder
as it is.
"""

from pathlib import Path

from lib.config.schema import RunConfig

# Without the lock file and the mark of torchrun_restarts: they belong to the current run.
_RUN_FILES = (
    *("config.yaml", "command.txt", "environment.json", "metrics.jsonl", "val_record.npy", "train.log", "checkpoints"),
    *("report.html", "report", "trace.json.gz", "tensorboard", "wandb", "wandb_run.txt", "mlflow_run.txt"),
)


def claim_run_dir(run: RunConfig, resolved_config: str, command: str) -> None:
    """Write ``resolved_config`` and ``command`` into the run's folder; with resume never, move an older run aside."""
    folder = run.weights_dir
    if run.resume == "never":
        _move_aside(folder)
    (folder / "config.yaml").write_text(resolved_config, encoding="utf-8")
    (folder / "command.txt").write_text(f"{command}\n", encoding="utf-8")


def _move_aside(folder: Path) -> None:
    """Move the files of an older run into a new subfolder old_1, old_2, ...; nothing is deleted."""
    found = [folder / name for name in _RUN_FILES if (folder / name).exists()]
    if found:
        number = 1
        while (aside := folder / f"old_{number}").exists():
            number += 1
        aside.mkdir()
        for path in found:
            path.rename(aside / path.name)
