"""Claim the folder of a run."""

import itertools

from lib.config.schema import RunConfig

# Without the lock file and the mark of torchrun: they belong to the current run.
_RUN_FILES = (
    *("config.yaml", "command.txt", "environment.json", "metrics.jsonl", "val_record.npy", "train.log", "checkpoints"),
    *("report.html", "report", "trace.json.gz", "tensorboard", "wandb", "wandb_run.txt", "mlflow_run.txt"),
)


def claim_run_dir(run: RunConfig, resolved_config: str, command: str) -> None:
    """Write ``resolved_config`` and ``command`` into the run's folder.

    With resume never, the files of an older run move into a new subfolder old_1, old_2, ... Worker 0 calls this once
    nothing that the user can fix prevents training: a command that is refused leaves the folder as it is.
    """
    folder = run.weights_dir
    older = [folder / name for name in _RUN_FILES if (folder / name).exists()]
    if run.resume == "never" and older:
        aside = next(path for n in itertools.count(1) if not (path := folder / f"old_{n}").exists())
        aside.mkdir()
        for path in older:
            path.rename(aside / path.name)
    (folder / "config.yaml").write_text(resolved_config, encoding="utf-8")
    (folder / "command.txt").write_text(f"{command}\n", encoding="utf-8")
