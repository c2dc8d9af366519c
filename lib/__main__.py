"""The command ``tandem``, which runs all others: ``tandem train``, ``tandem classify`` and so on."""

import argparse
import sys
from collections.abc import Sequence

from .commands.entry import COMMANDS, call
from .config.plain_parser import PlainParser
from .errors import ConfigError
from .system.program import spec_file, version

# The names of commands here, and those of their scripts in a clone.
_NAMES = {name: name for name in ("train", "validate", "classify", "export", "report", "doctor", "pack")}
_NAMES["verify"] = "validate_data"


def main() -> int:
    """Run the command that is named first. Returns the exit status."""
    lines = [f"  {name:<9} {COMMANDS[command].summary}" for name, command in _NAMES.items()]
    parser = PlainParser("tandem", description="\n".join(["commands, each of which has its own --help:", *lines]))
    parser.usage = "tandem COMMAND [options]"
    parser.add_argument("command", choices=list(_NAMES), metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"tandem {version()}")
    name = parser.parse_args(sys.argv[1:2]).command
    words = sys.argv[2:]
    if COMMANDS[_NAMES[name]].spec:
        words = _with_spec(parser, words)
    sys.argv = [f"tandem {name}", *words]
    return call(_NAMES[name])


def _with_spec(parser: PlainParser, words: Sequence[str]) -> list[str]:
    """Return ``words`` with the spec file of N workers in place of ``--workers N``."""
    workers = argparse.ArgumentParser("tandem", add_help=False, allow_abbrev=False)
    workers.add_argument("--workers", type=int)
    given, rest = workers.parse_known_args(words)
    if given.workers is None:
        return rest
    try:
        return ["--spec", str(spec_file(given.workers)), *rest]
    except ConfigError as error:
        parser.error(f"--workers: {error}")


if __name__ == "__main__":
    sys.exit(main())
