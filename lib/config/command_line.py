"""From YAML files and arguments to a ``Config``.

jsonargparse reads, converts, checks types and writes ``--help``. What it lacks is added here: a second
configuration file (the spec), and the nearest valid key for one that does not exist.
"""

import argparse
import difflib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import (  # type: ignore[attr-defined]  # ActionConfigFile is public, but not in its __all__
    ActionConfigFile,
    ArgumentParser,
    DefaultHelpFormatter,
    Namespace,
    set_parsing_settings,
)

from lib.config.completion import add_completers, kinds
from lib.config.foreign_options import became
from lib.config.schema import Config, ModelConfig
from lib.config.switches import add_switches
from lib.config.type_errors import in_our_words, must_be, short, takes_null
from lib.errors import ConfigError, UserError
from lib.models.recipes import plain
from lib.models.registry import model_spec
from lib.models.table import table
from lib.runtime.placement import workers
from lib.system.disk import disk_trouble


def parse(
    argv: Sequence[str],
    *,
    description: str,
    config: Path,
    spec: Path,
    options: type[Any] | None = None,
    switches: Sequence[str] = (),
    prog: str | None = None,
) -> tuple[Config, Any]:
    """The configuration that ``argv`` asks for, and the script's own ``options``.

    ``config`` and ``spec`` are the files read when ``argv`` names none. First comes the recipe of the network, then
    the configuration, the spec, and the overrides; each replaces values of those before. ``options`` is a dataclass
    of what only this script has; without one, None is returned. ``switches``, which lib.config.switches has taken
    out of ``argv``, are named here for --help, where the script is called ``prog``. Ends the process for --help,
    --print_config and --list_models, and when it was started to complete a command in a shell. Raises ConfigError,
    naming the key and, where that is in one, the file.
    """
    files, rest = _take_files(argv, config, spec)
    parser = _parser(description, config, spec, options, prog)
    add_switches(parser, switches)
    _refuse_unknown_options(rest, parser)
    held = {file: _keys_in(file) for file in files}
    arguments = [*(f"--config={file}" for file in files), *rest]
    kind_of = dict(kinds(Config)) | (dict(kinds(options)) if options else {})
    parser.set_defaults({key: plain(value) for key, value in _recipe(parser, arguments, kind_of).items()})
    try:
        values = parser.instantiate(_read(parser, arguments, kind_of))
    except ConfigError as error:
        raise ConfigError(f"{_file_at_fault(str(error), held, rest)}{error}") from None
    return _take(values, Config), options and _take(values, options)


def _file_at_fault(said: str, held: Mapping[Path, set[str]], typed: Sequence[str]) -> str:
    """The file that sets the key which an error begins with, unless that was ``typed``: as the error's beginning."""
    key = re.split("[ :]", said)[0]
    files = [file for file, keys in held.items() if key in keys]
    if not files or any(word.partition("=")[0] == f"--{key}" for word in typed):
        return ""
    return f"{files[-1]}: "


def _take(values: Namespace, kind: type[Any]) -> Any:
    return kind(**{f.name: values[f.name] for f in fields(kind)})


def report_errors(main: Callable[[], int]) -> int:
    """Run a script's ``main``; what the user can mend becomes one line and exit status 2.

    With --debug its traceback comes first.
    """
    try:
        return main()
    except UserError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while a run's processes live, their supervisor answers it
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever reads us has seen enough; nothing more is to be written, at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if not (trouble := disk_trouble(error)):
            raise
        print(f"error: {trouble}", file=sys.stderr)
        return 2


def keys(section: Any = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, dotted.

    >>> [key for key in keys() if key.startswith("data.synthetic.")]
    ['data.synthetic.train', 'data.synthetic.val', 'data.synthetic.classes']
    """
    for name, kind in get_type_hints(section).items():
        if is_dataclass(kind):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def _recipe(parser: ArgumentParser, arguments: Sequence[str], kind_of: Mapping[str, Any]) -> dict[str, Any]:
    """What the recipe of the network that is asked for sets; it lies under everything else that is asked for."""
    silent = [word for word in arguments if word not in ("--help", "-h") and not word.startswith("--print_config")]
    try:
        asked = _read(parser, silent, kind_of)
    except ConfigError:  # reading again, with nothing left out, will say this, or print the help
        return model_spec(ModelConfig.name).recipe.settings(Config().images_an_update)
    world_size = workers(len(asked.devices), os.environ)
    return model_spec(asked.model.name).recipe.settings(asked.batch_size * world_size * asked.optimizer.accumulate)


def _read(parser: ArgumentParser, arguments: Sequence[str], kind_of: Mapping[str, Any]) -> Namespace:
    """The values of all keys, whose types are ``kind_of``. Raises ConfigError."""
    try:
        values = parser.parse_args(arguments)
    except argparse.ArgumentError as error:
        unknown = str(error).partition("unrecognized arguments: ")[2].split()
        raise ConfigError(_no_option(unknown[0]) if unknown else in_our_words(str(error), kind_of)) from None
    for key, kind in kind_of.items():
        if values[key] is None and not takes_null(kind):
            raise ConfigError(f"{key} is null; it must be {must_be(key, kind)}")
    return values


def _no_option(word: str) -> str:
    """What to say of a word that stands where an option should."""
    if word.endswith((".yaml", ".yml")):
        return f"{word} stands alone; did you mean --config {word}?"
    if word.startswith("-"):
        return f"unknown option {word}{_nearest(word.lstrip('-'), sorted(keys()), '--')}"
    return f"{word} stands alone; settings are given as --KEY VALUE, --help lists every key"


def _take_files(argv: Sequence[str], config: Path, spec: Path) -> tuple[list[Path], list[str]]:
    """--config and --spec out of ``argv``, and what is left of it."""
    taker = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    taker.add_argument("--config", type=Path, default=config)
    taker.add_argument("--spec", type=Path, default=spec)
    try:
        taken, rest = taker.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    return [taken.config, taken.spec], rest


def _parser(description: str, config: Path, spec: Path, options: type[Any] | None, prog: str | None) -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog,
        description=description,
        formatter_class=_HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
        default_env=False,
    )
    parser.add_argument("--config", action=ActionConfigFile, help=f"what to train; YAML (default: {config.name})")
    parser.add_argument("--spec", default=argparse.SUPPRESS, help=f"on what to train; YAML (default: {spec.name})")
    parser.add_argument(
        "--list_models", action=_ListModels, nargs=0, default=argparse.SUPPRESS, help="print the networks, and end"
    )
    if options:
        parser.add_class_arguments(options, None)
    parser.add_class_arguments(Config, None)
    parser.set_defaults({key: plain(parser.get_default(key)) for key in keys()})  # lists as YAML has them, for --help
    add_completers(parser._actions)
    return parser


class _ListModels(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(table())
        parser.exit()


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Leaves out the usage line's list of every key, and each section's option for a file of its own."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        super().add_usage("%(prog)s [--config FILE] [--spec FILE] [--KEY VALUE ...]", actions, groups, prefix)

    def _get_type_str(self, action: argparse.Action) -> str | None:
        kind = dict(kinds(Config)).get(action.dest)
        return (short(kind) or None) if kind else super()._get_type_str(action)

    def add_argument(self, action: argparse.Action) -> None:
        if action.metavar != "CONFIG" or action.dest == "config":
            super().add_argument(action)


def _refuse_unknown_options(argv: Sequence[str], parser: ArgumentParser) -> None:
    known = {option.lstrip("-") for action in parser._actions for option in action.option_strings}
    sections = {key.partition(".")[0] for key in keys() if "." in key}
    for word in argv:
        if word.startswith("--") and (name := word[2:].partition("=")[0]) not in known:
            raise ConfigError(f"unknown option --{name}{_nearest(name, sorted(known - sections), '--')}")


def _keys_in(file: Path) -> set[str]:
    """The keys that ``file`` sets. Each must be one of ``keys()``: a typo must not become a silent default."""
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} must hold a mapping of settings, not a {type(tree).__name__}")
    known = set(keys())
    for key in _dotted(tree):
        if key not in known:
            raise ConfigError(f"{file}: unknown key {key}{_nearest(key, sorted(known))}")
    return set(_dotted(tree))


def _dotted(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _nearest(name: str, known: Sequence[str], dashes: str = "") -> str:
    """A hint at what was meant: the closest spelling, the key that ends alike, what became of another trainer's."""
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [
        key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]
    ]
    hints = [f"did you mean {dashes}{alike[0]}?"] if alike else []
    return f"; {'; '.join(filter(None, [*hints, became(name)])) or '--help lists every key'}"
