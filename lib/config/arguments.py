"""The options of a script: one for every key, with its type, help and completions."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any

from docstring_parser import parse_from_object

from .dump import flow
from .field_type import field_types
from .schema import Config

_SHORTCUTS: Mapping[str, tuple[str, dict[str, str], str]] = {
    "--profile": ("logging.profile", {"metavar": "N"}, "trace N iterations of worker 0 for https://ui.perfetto.dev"),
    "--quiet": ("logging.quiet", {"action": "store_const", "const": "true"}, "show only warnings and errors"),
    "--debug": ("logging.debug", {"action": "store_const", "const": "true"}, "print the traceback of every error"),
}


def build_parser(
    description: str,
    spec: Path,
    *,
    options: type[Any] | None,
    shortcuts: Sequence[str],
    prog: str | None,
    choices: Mapping[str, Sequence[str]],
    defaults: Mapping[str, Any] | None = None,
) -> argparse.ArgumentParser:
    """Return a parser whose results are texts, by dotted key, of the options that are given.

    ``options`` is a dataclass with the script's own options, ``shortcuts`` the short names of keys that it takes, and
    ``choices`` the values of keys whose type does not name them. ``defaults`` are the values by dotted key that --help
    shows. Without them there are no help texts, and building is faster.
    """
    parser = argparse.ArgumentParser(
        prog,
        usage="%(prog)s [--config FILE] [--spec FILE] [--KEY VALUE ...]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    add = parser.add_argument
    add("-h", "--help", action="store_true", help="print this help and exit")
    add("--config", type=Path, metavar="FILE", help="what to train; YAML (default: config.yaml)")
    add("--spec", type=Path, metavar="FILE", help=f"on which devices; YAML (default: {spec.name})")
    add("--print_config", action="store_true", help="print the configuration as YAML, which --config reads, and exit")
    add("--list_models", action="store_true", help="print the networks and exit")
    for name in shortcuts:
        key, arguments, text = _SHORTCUTS[name]
        add(name, dest=key, help=f"{text}; short for --{key}", **arguments)  # type: ignore[arg-type]
    if options:
        _add_keys(parser, options, "", choices, defaults)
    for prefix, section in sections(Config):
        title = "keys of the spec: on which devices" if section is Config else summary(section)
        _add_keys(parser.add_argument_group(title), section, prefix, choices, defaults)
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
    'optimizer: the rule that moves the weights'
    """
    return " ".join(str(getdoc(section)).split()).rstrip(".")


def field_help(section: type[Any]) -> dict[str, str]:
    """Return the text under each field of a dataclass, on one line."""
    return {part.arg_name: " ".join(str(part.description).split()) for part in parse_from_object(section).params}


def _add_keys(
    parser: argparse._ActionsContainer,
    section: type[Any],
    prefix: str,
    choices: Mapping[str, Sequence[str]],
    defaults: Mapping[str, Any] | None,
) -> None:
    """Add an option for every key of ``section``, but not of the sections in it."""
    texts = {} if defaults is None else field_help(section)
    default_values = {f.name: f.default for f in fields(section)}
    for name, kind in field_types(section).items():
        if "." in name:
            continue
        key, text = prefix + name, texts.get(name, "")
        if not prefix and section is not Config and default_values[name] is False:  # a script's own option
            parser.add_argument(f"--{key}", action="store_const", const="true", help=text)
            continue
        default = flow((defaults or {}).get(key, default_values[name]))
        text += f" ({f'type: {kind.name}, ' if kind.name else ''}default: {default})"
        metavar = "{" + ",".join(kind.choices) + "}" if kind.choices else name.upper()
        action = parser.add_argument(f"--{key}", metavar=metavar, help=text.replace("%", "%%"))
        offered = choices.get(key) or kind.choices
        if offered or "path" not in kind.name:  # without a completer, a shell offers files
            action.completer = lambda offered=offered, **_: offered  # type: ignore[attr-defined]
