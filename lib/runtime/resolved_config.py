"""The configuration of a run as it came out, with a remark at each value that the network's recipe has a say in."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import yaml

from lib.config.schema import Config
from lib.models.recipes import plain, told_images
from lib.models.registry import model_spec


def resolved(config: Config) -> str:
    """YAML that --config reads back."""
    recipe = model_spec(config.model.name).recipe
    settings = recipe.settings(config.images_an_update)
    lines = [f"# The recipe of {config.model.name}: {recipe.source}, for {told_images(recipe, config)}."]
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            lines.append(f"{f.name}:")
            lines += [f"  {_line(g.name, getattr(value, g.name), f'{f.name}.', settings)}" for g in fields(value)]
        else:
            lines.append(_line(f.name, value, "", settings))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, section: str, settings: Mapping[str, Any]) -> str:
    remark = ""
    if (key := section + name) in settings:
        remark = "  # the recipe's" if value == settings[key] else f"  # the recipe has {_flow(settings[key])}"
    return f"{name}: {_flow(value)}{remark}"


def _flow(value: Any) -> str:
    """A value as YAML on one line.

    >>> _flow((1, 2)), _flow(None), _flow("yes")
    ('[1, 2]', 'null', "'yes'")
    """
    return yaml.safe_dump([plain(value)], default_flow_style=True, width=float("inf")).strip()[1:-1]
