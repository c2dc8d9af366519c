"""Options that are no settings: what to do instead of training, and short names of settings."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from lib.errors import ConfigError

HELP = """
switches:
  --dry_run            check everything, run a few iterations, estimate memory and time; write nothing
  --find_batch_size    try larger and larger batches on the first device, say which is the largest that fits
  --profile N          trace N iterations of worker 0 for https://ui.perfetto.dev (logging.profile)
  --quiet              warnings and errors only (logging.quiet)
  --debug              tracebacks of errors, too (logging.debug)
  --print_config       print the resulting configuration and end

exit status: 0 done; 1 a process failed, was lost or killed; 2 something you can mend, said in one line;
  130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP) stopped after saving a checkpoint: the same command goes on from there
"""


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What to do instead of training."""

    dry_run: bool = False
    find_batch_size: bool = False


def take_switches(argv: Sequence[str]) -> tuple[Switches, list[str]]:
    """The switches in ``argv``, and what is left, with short names written out. Raises ConfigError.

    >>> take_switches(["--quiet", "--batch_size", "8"])[1]
    ['--batch_size', '8', '--logging.quiet=true']
    """
    taker = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("--dry_run", "--find_batch_size", "--quiet", "--debug"):
        taker.add_argument(name, action="store_true")
    taker.add_argument("--profile", type=int)
    try:
        taken, rest = taker.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    if taken.dry_run and taken.find_batch_size:
        raise ConfigError("--dry_run and --find_batch_size are two things to do; give one of them")
    rest += ["--logging.quiet=true"] * taken.quiet + ["--logging.debug=true"] * taken.debug
    rest += [] if taken.profile is None else [f"--logging.profile={taken.profile}"]
    return Switches(dry_run=taken.dry_run, find_batch_size=taken.find_batch_size), rest
