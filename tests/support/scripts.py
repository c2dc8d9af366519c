"""Build the commands that start scripts of the project, as a user would type them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY_RUN = ("--model.name", "tiny", "--batch_size", 8, "--devices", "[cpu, cpu]", "--logging.print_freq", 2)
ONE_WORKER = (
    "--model.name",
    "tiny",
    "--batch_size",
    8,
    "--run.n_epochs",
    4,
    "--logging.print_freq",
    2,
    "--devices",
    "[cpu]",
)
TWO_WORKERS = (*ONE_WORKER, "--devices", "[cpu, cpu]")

Script = Callable[..., subprocess.CompletedProcess[str]]


def command(script: str, *arguments: object) -> list[str]:
    """Return the command line of a script.

    Report page, event files and threads are off by default: they cost time in each of many short trainings. Tests
    that need them pass the option.
    """
    extras: tuple[str, ...] = ("--compute.threads", "1") if script.startswith(("train", "validate.")) else ()
    if script.startswith("train"):
        extras += ("--logging.report", "false", "--logging.tensorboard", "false")
    return [sys.executable, str(ROOT / script), *extras, *map(str, arguments)]
