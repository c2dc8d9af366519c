"""Options that are no settings: what to do instead of training, and short names of settings."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lib.errors import ConfigError

SWITCHES: dict[str, dict[str, Any]] = {
    "--dry_run": {
        "action": "store_true",
        "help": "check everything, run a few iterations, estimate memory and time; write nothing",
    },
    "--find_batch_size": {
        "action": "store_true",
        "help": "try larger and larger batches on the first device; name the largest that fits, and the fastest",
    },
    "--profile": {
        "type": int,
        "metavar": "N",
        "help": "trace N iterations of worker 0 for https://ui.perfetto.dev; short for --logging.profile N",
    },
    "--quiet": {"action": "store_true", "help": "warnings and errors only; short for --logging.quiet true"},
    "--debug": {"action": "store_true", "help": "tracebacks of errors, too; short for --logging.debug true"},
}

TRAINING = tuple(SWITCHES)
VALIDATION = ("--debug",)

EXIT_STATUS = """
exit status: 0 done; 1 a process failed, was lost or killed; 2 something you can mend, said in one line;
  130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP) stopped after saving a checkpoint: the same command goes on from there
"""


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What to do instead of training."""

    dry_run: bool = False
    find_batch_size: bool = False


def add_switches(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Let ``parser`` know these switches; one that is not given is not among its results."""
    for name in names:
        parser.add_argument(name, default=argparse.SUPPRESS, **SWITCHES[name])


def take_switches(argv: Sequence[str], names: Sequence[str]) -> tuple[Switches, list[str]]:
    """These switches in ``argv``, and what is left, with short names written out. Raises ConfigError.

    >>> take_switches(["--quiet", "--batch_size", "8"], TRAINING)[1]
    ['--batch_size', '8', '--logging.quiet=true']
    """
    taker = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_switches(taker, names)
    try:
        taken, rest = taker.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    given = vars(taken)
    if "dry_run" in given and "find_batch_size" in given:
        raise ConfigError("--dry_run and --find_batch_size are two things to do; give one of them")
    for name in ("quiet", "debug", "profile"):
        if name in given:
            rest.append(f"--logging.{name}={str(given[name]).lower()}")
    return Switches(dry_run="dry_run" in given, find_batch_size="find_batch_size" in given), rest
