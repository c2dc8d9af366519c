"""The options of a script: one for every key, with its type, help and completions."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any

from docstring_parser import parse_from_object

from ..errors import ConfigError
from .dump import flow
from .field_type import field_types
from .schema import Config

SECTIONS = ("spec", *(f.name for f in fields(Config) if is_dataclass(f.default_factory)), "all")
"""what --help takes: the names of the sections; spec for the keys outside, and all"""

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
    shown: Sequence[str] = (),
    brief: bool = False,
) -> argparse.ArgumentParser:
    """Return a parser whose results are texts, by dotted key, of the options that are given.

    ``options`` is a dataclass with the script's own options, ``shortcuts`` the short names of keys that it takes, and
    ``choices`` the values of keys whose type does not name them. ``defaults`` are the values by dotted key that --help
    shows. Without them there are no help texts, and building is faster. Of the keys --help shows those that are
    ``shown``, or all, with the first part of their text if it is to be ``brief``.
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
    more = f"print this help, or that of every key in a section, of {', '.join(SECTIONS)}"
    add("-h", "--help", nargs="?", const="", metavar="SECTION", help=more)
    add("--config", type=Path, metavar="FILE", help="what to train; YAML (default: config.yaml)")
    add("--spec", type=Path, metavar="FILE", help=f"on which devices; YAML (default: {spec.name})")
    add("--print_config", action="store_true", help="print the configuration as YAML, which --config reads, and exit")
    add("--list_models", action="store_true", help="print the networks and exit")
    for name in shortcuts:
        key, arguments, text = _SHORTCUTS[name]
        add(name, dest=key, help=f"{text}; short for --{key}", **arguments)  # type: ignore[arg-type]
    if options:
        _add_keys(parser, options, "", choices, defaults, (), brief)
    for prefix, section in sections(Config):
        title = "keys of the spec: on which devices" if section is Config else summary(section)
        group = parser if brief else parser.add_argument_group(title)
        _add_keys(group, section, prefix, choices, defaults, shown, brief)
    return parser


def keys_of(section: str) -> tuple[str, ...]:
    """Return the keys of a section by its name in ``SECTIONS``; of "all" none, which stands for every key.

    Raises ConfigError for another name.
    """
    if section not in SECTIONS:
        raise ConfigError(f"--help {section}: there is no such section; name one of {', '.join(SECTIONS)}")
    prefix = "" if section == "spec" else f"{section}."
    return tuple(key for key in field_types(Config) if key.startswith(prefix) and ("." in key or not prefix))


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
    shown: Sequence[str],
    brief: bool,
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
        text = _first_part(text) if brief and shown else text
        text += f" ({f'type: {kind.name}, ' if kind.name and not brief else ''}default: {default})"
        metavar = "{" + ",".join(kind.choices) + "}" if kind.choices else name.upper()
        hidden = shown and key not in shown
        action = parser.add_argument(
            f"--{key}", metavar=metavar, help=argparse.SUPPRESS if hidden else text.replace("%", "%%")
        )
        offered = choices.get(key) or kind.choices
        if offered or "path" not in kind.name:  # without a completer, a shell offers files
            action.completer = lambda offered=offered, **_: offered  # type: ignore[attr-defined]


def _first_part(text: str) -> str:
    """Return a text up to its first colon, semicolon, full stop or bracket; up to the second after a word or two.

    >>> _first_part("folder of the run: configuration, metrics"), _first_part("auto: a GPU; cpu: none")
    ('folder of the run', 'auto: a GPU')
    """
    first, *rest = re.split(r"([:;.] | \()", text)
    return first + "".join(rest[:2]) if first.count(" ") < 2 else first
