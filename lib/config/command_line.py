"""From files and arguments to a ``Config``.

The recipe of the network is the lowest layer. Files lie above it, arguments above these. ``--spec`` overrides
``--config``, and a file that is named overrides one that is read by default.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lib.config.arguments import CommandLine, build_parser, sections
from lib.config.convert import build, from_argument, from_yaml
from lib.config.dump import dotted, to_yaml
from lib.config.field_type import field_types
from lib.config.hints import key_hint
from lib.config.schema import Config
from lib.config.yaml_file import read_settings
from lib.errors import ConfigError


def parse(argv: Sequence[str], command: CommandLine) -> tuple[Config, Any]:
    """Return the configuration that ``argv`` asks for, and the script's own options or None.

    Ends the process for --help, --print_config and --list_models, and when a shell asks for completions. Raises
    ConfigError naming the key and, unless it is an argument, the file that sets it.
    """
    parser = build_parser(command)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # noqa: PLC0415  (optional, and asked for by a shell only)

        argcomplete.autocomplete(parser)
    given = _read_arguments(parser, argv)
    if "list_models" in given:
        _print_and_exit(command.list_models() + "\n")
    kinds = {**field_types(Config), **(field_types(command.options) if command.options else {})}
    arguments = {key: from_argument(key, text, kinds[key]) for key, text in given.items() if key in kinds}
    named = [given[name] for name in ("config", "spec") if name in given]
    files = sorted([given.get("config", command.config), given.get("spec", command.spec)], key=named.__contains__)
    sources = {file: read_file(file) for file in files}
    layers = {key: value for file in files for key, value in sources[file].items()} | arguments
    try:
        values = dict(dotted(Config()))
        values |= {**command.recipe(values | layers), **layers}
        if "help" in given:
            _print_and_exit(build_parser(command, values).format_help())
        config = build(Config, values)
    except ConfigError as error:
        key = re.split("[ :]", str(error))[0]
        setters = [file for file in files if key in sources[file] and key not in arguments]
        raise ConfigError(f"{setters[-1]}: {error}" if setters else str(error)) from None
    if "print_config" in given:
        _print_and_exit(to_yaml(config))
    return config, command.options and build(command.options, arguments)


def load_config(file: Path) -> Config:
    """Return the configuration that ``file`` holds. Absent keys have their defaults, not a recipe's values.

    Raises ConfigError naming the file.
    """
    values = read_file(file)
    try:
        return build(Config, values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def read_file(file: Path) -> dict[str, Any]:
    """Return every value that ``file`` sets, by dotted key. Raises ConfigError naming the file."""
    kinds, values = field_types(Config), {}
    empty_sections = {prefix.rstrip(".") for prefix, _ in sections(Config)}
    for key, value in read_settings(file):
        try:
            if key in kinds:
                values[key] = from_yaml(key, value, kinds[key])
            elif value or key not in empty_sections:
                raise ConfigError(f"unknown key {key}{key_hint(key, kinds)}")
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
    return values


def _read_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> dict[str, Any]:
    """Return the options that ``argv`` gives. Raises ConfigError for any other word."""
    try:
        given, unknown = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    for word in unknown:
        raise ConfigError(_refusal(word, [action.option_strings[-1][2:] for action in parser._actions]))
    return vars(given)


def _refusal(word: str, options: Sequence[str]) -> str:
    """Return what is wrong with a word that stands where an option should."""
    if word.startswith("-"):
        option = word.partition("=")[0]
        return f"unknown option {option}{key_hint(option.lstrip('-'), options, '--')}"
    if word.endswith((".yaml", ".yml")):
        return f"{word} stands alone; did you mean --config {word}?"
    return f"{word} stands alone; settings are given as --KEY VALUE, --help lists every key"


def _print_and_exit(text: str) -> NoReturn:
    print(text, end="", flush=True)
    sys.exit()
