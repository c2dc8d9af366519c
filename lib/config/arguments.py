"""The options of a script: one for every key, with its type, help and completions."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any

from docstring_parser import parse_from_object

from lib.config.dump import flow
from lib.config.field_type import FieldType, field_types
from lib.config.schema import Config

_SHORTCUTS: Mapping[str, tuple[str, dict[str, str], str]] = {
    "--profile": ("logging.profile", {"metavar": "N"}, "trace N iterations of worker 0 for https://ui.perfetto.dev"),
    "--quiet": ("logging.quiet", {"action": "store_const", "const": "true"}, "show only warnings and errors"),
    "--debug": ("logging.debug", {"action": "store_const", "const": "true"}, "print the traceback of every error"),
}


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """What a script accepts, and what packages above this one contribute to it."""

    description: str
    """text of --help, in front of the options"""

    config: Path
    """file that is read without --config"""

    spec: Path
    """file that is read without --spec"""

    recipe: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """from values without a recipe to the recipe's, both by dotted key"""

    list_models: Callable[[], str]
    """the text of --list_models"""

    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """values of keys whose type does not name them, for completion"""

    options: type[Any] | None = None
    """a dataclass with the script's own options; a bool that is False by default needs no value"""

    shortcuts: Sequence[str] = ()
    """which of the short names of keys it takes: --profile, --quiet, --debug"""

    prog: str | None = None
    """name of the script in --help, if it is not the file's"""


def build_parser(command: CommandLine, defaults: Mapping[str, Any] | None = None) -> argparse.ArgumentParser:
    """Return a parser whose results are texts, by dotted key, of the options that are given.

    Without ``defaults``, the values by dotted key that --help shows, it has no help texts and is faster to build.
    """
    parser = argparse.ArgumentParser(
        command.prog,
        usage="%(prog)s [--config FILE] [--spec FILE] [--KEY VALUE ...]",
        description=command.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    add = parser.add_argument
    add("-h", "--help", action="store_true", help="print this help and exit")
    add("--config", type=Path, metavar="FILE", help=f"what to train; YAML (default: {command.config.name})")
    add("--spec", type=Path, metavar="FILE", help=f"on which devices; YAML (default: {command.spec.name})")
    add("--print_config", action="store_true", help="print the configuration as YAML, which --config reads, and exit")
    add("--list_models", action="store_true", help="print the networks and exit")
    for name in command.shortcuts:
        key, arguments, text = _SHORTCUTS[name]
        add(name, dest=key, help=f"{text}; short for --{key}", **arguments)  # type: ignore[arg-type]
    if command.options:
        _add_keys(parser, command.options, "", command, defaults)
    for prefix, section in sections(Config):
        title = "keys of the spec: on which devices" if section is Config else summary(section)
        _add_keys(parser.add_argument_group(title), section, prefix, command, defaults)
    return parser


def sections(section: type[Any], prefix: str = "") -> Iterator[tuple[str, type[Any]]]:
    """Yield (prefix of its dotted keys, dataclass) of a section and of the sections in it."""
    yield prefix, section
    for f in fields(section):
        if isinstance(f.default_factory, type) and is_dataclass(f.default_factory):
            yield from sections(f.default_factory, f"{prefix}{f.name}.")


def summary(section: type[Any]) -> str:
    """Return the docstring of a section, without the full stop.

    >>> summary(Config().optimizer.__class__)
    'optimizer: stochastic gradient descent with momentum'
    """
    return " ".join(str(getdoc(section)).split()).rstrip(".")


def field_help(section: type[Any]) -> dict[str, str]:
    """Return the text under each field of a dataclass, on one line."""
    return {part.arg_name: " ".join(str(part.description).split()) for part in parse_from_object(section).params}


def _add_keys(
    parser: argparse._ActionsContainer,
    section: type[Any],
    prefix: str,
    command: CommandLine,
    defaults: Mapping[str, Any] | None,
) -> None:
    """Add an option for every key of ``section``, but not of the sections in it."""
    texts = field_help(section) if defaults is not None else {}
    kinds = field_types(section)
    for f in fields(section):
        if f.name not in kinds:
            continue
        key, kind = prefix + f.name, kinds[f.name]
        default = (defaults or {}).get(key, f.default)
        text = f"{texts.get(f.name, '')}{_type_and_default(kind, default)}".replace("%", "%%")
        if section is command.options and default is False:
            parser.add_argument(f"--{key}", action="store_const", const="true", help=texts.get(f.name))
            continue
        metavar = "{" + ",".join(kind.choices) + "}" if kind.choices else f.name.upper()
        action = parser.add_argument(f"--{key}", metavar=metavar, help=text)
        offered = command.choices.get(key) or kind.choices
        if offered or "path" not in kind.name:  # without a completer, a shell offers files
            action.completer = lambda offered=offered, **_: offered  # type: ignore[attr-defined]


def _type_and_default(kind: FieldType, default: Any) -> str:
    return f" ({f'type: {kind.name}, ' if kind.name else ''}default: {flow(default)})"
