"""The log of a run: ``weights_dir/train.log``. Every process of the run appends whole lines to it."""

import logging
from pathlib import Path


def open_log(weights_dir: Path, role: str) -> logging.Logger:
    """Return a logger that writes "time role: message" lines to the run's log and nowhere else."""
    log = logging.getLogger(f"run.{role}")
    log.setLevel(logging.INFO)
    log.propagate = False
    if not log.handlers:
        handler = logging.FileHandler(weights_dir / "train.log", encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter(f"%(asctime)s {role}: %(message)s"))
        log.addHandler(handler)
    return log
