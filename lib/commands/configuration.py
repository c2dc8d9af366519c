"""The command line of the scripts that read the configuration. Recipes, networks and data sources come in here."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.config.arguments import CommandLine
from lib.config.command_line import parse
from lib.config.schema import Config
from lib.data.sources.registry import SOURCES
from lib.models.registry import MODELS, model_spec
from lib.models.table import table
from lib.runtime.torchrun import count_workers


def parse_config(
    argv: Sequence[str],
    *,
    description: str,
    spec: Path,
    options: type[Any] | None = None,
    shortcuts: Sequence[str] = (),
    prog: str | None = None,
) -> tuple[Config, Any]:
    """Return the configuration that ``argv`` asks for, and the script's own options or None.

    ``spec`` is the spec file that is read by default, beside config.yaml. ``CommandLine`` explains the other
    arguments, ``lib.config.command_line.parse`` how this ends.
    """
    command = CommandLine(
        description=description,
        config=spec.with_name("config.yaml"),
        spec=spec,
        recipe=_recipe,
        list_models=table,
        choices={"model.name": tuple(MODELS), "data.source": tuple(SOURCES)},
        options=options,
        shortcuts=shortcuts,
        prog=prog,
    )
    return parse(argv, command)


def _recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the network's recipe for the images per update of the run."""
    world_size = count_workers(len(values["devices"]), os.environ)
    images = values["batch_size"] * world_size * values["optimizer.accumulate"]
    return model_spec(values["model.name"]).recipe.settings(images)
