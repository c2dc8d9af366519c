"""The command line of the scripts that read the configuration: from files and arguments to a ``Config``.

The recipe of the network is the lowest layer. Files lie above it, arguments above these. ``--spec`` overrides
``--config``, and a file that is named overrides one that is read by default.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ..config.arguments import build_parser, keys_of
from ..config.convert import build, from_argument
from ..config.dump import dotted, to_yaml
from ..config.field_type import field_types
from ..config.hints import key_hint
from ..config.load import read_file
from ..config.schema import OPTIMIZERS, Config
from ..data.sources.published import own_defaults, published_kind
from ..data.sources.registry import AUTO, SOURCES
from ..errors import ConfigError
from ..models.registry import MODELS, model_spec, table
from ..runtime.torchrun import count_workers

_CHOICES = {"model.name": tuple(MODELS), "data.source": (AUTO, *SOURCES), "optimizer.name": OPTIMIZERS}


def parse_config(
    argv: Sequence[str],
    *,
    description: str,
    spec: Path,
    options: type[Any] | None = None,
    shortcuts: Sequence[str] = (),
    usual: Sequence[str] = (),
    prog: str | None = None,
) -> tuple[Config, Any]:
    """Return the configuration that ``argv`` asks for, and the script's own ``options`` or None.

    ``spec`` is the spec file that is read by default, beside config.yaml. ``shortcuts`` are the short names of keys
    that the script takes: --profile, --quiet, --debug. ``usual`` are the keys that --help lists; by default all.
    Ends the process for --help, --print_config and --list_models, and when a shell asks for completions. Raises
    ConfigError naming the key and, unless it is an argument, the file that sets it.
    """
    make_parser = partial(
        build_parser, description, spec, options=options, shortcuts=shortcuts, prog=prog, choices=_CHOICES
    )
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # noqa: PLC0415  (optional, and asked for by a shell only)

        argcomplete.autocomplete(parser)
    given = _read_arguments(parser, argv)
    if "list_models" in given:
        _print_and_exit(table() + "\n")
    kinds = {**field_types(Config), **(field_types(options) if options else {})}
    arguments = {key: from_argument(key, text, kinds[key]) for key, text in given.items() if key in kinds}
    named = [given[name] for name in ("config", "spec") if name in given]
    files = [given.get("config", spec.with_name("config.yaml")), given.get("spec", spec)]
    sources = {file: read_file(file) for file in sorted(files, key=named.__contains__)}
    layers = {key: value for values in sources.values() for key, value in values.items()} | arguments
    try:
        values = dict(dotted(Config()))
        values |= {**_recipe(values | layers), **layers}
        if "help" in given:
            shown = keys_of(given["help"]) if given["help"] else usual
            _print_and_exit(make_parser(defaults=values, shown=shown, brief=not given["help"]).format_help())
        config = build(Config, values)
    except ConfigError as error:
        key = re.split("[ :]", str(error))[0]
        setters = [file for file, values in sources.items() if key in values and key not in arguments]
        raise ConfigError(f"{setters[-1]}: {error}" if setters else str(error)) from None
    if "print_config" in given:
        _print_and_exit(to_yaml(config))
    return config, options and build(options, arguments)


def _recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the network's recipe for the images per update of the run, and of a published data set."""
    world_size = count_workers(len(values["devices"]), os.environ)
    images = values["batch_size"] * world_size * values["optimizer.accumulate"]
    spec = model_spec(values["model.name"])
    published = published_kind(values["data.source"], Path(values["data.dir"]))
    recipe = spec.chosen_recipe(values["model.recipe"])
    return {"data.img_size": spec.img_size} | recipe.settings(images) | own_defaults(published, spec)


def _read_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> dict[str, Any]:
    """Return the options that ``argv`` gives. Raises ConfigError for any other word."""
    try:
        given, unknown = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    if not unknown:
        return vars(given)
    word, options = unknown[0], [action.option_strings[-1][2:] for action in parser._actions]
    if word.startswith("-"):
        option = word.partition("=")[0]
        raise ConfigError(f"unknown option {option}{key_hint(option.lstrip('-'), options, '--')}")
    if word.endswith((".yaml", ".yml")):
        raise ConfigError(f"{word} stands alone; did you mean --config {word}?")
    if "=" in word:
        name, _, value = word.partition("=")
        meant = f"; give it as --{name} {value}" if name in options else key_hint(name, options, "--")
        raise ConfigError(f"{word} stands alone; settings are given as --KEY VALUE{meant}")
    raise ConfigError(f"{word} stands alone; settings are given as --KEY VALUE, --help all lists every key")


def _print_and_exit(text: str) -> NoReturn:
    print(text, end="", flush=True)
    sys.exit()
