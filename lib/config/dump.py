"""From a configuration to dotted keys and to YAML."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml


def dotted(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every key of a section and of the sections in it.

    >>> from lib.config.schema import Config
    >>> [pair for pair in dotted(Config()) if pair[0].startswith("data.synthetic.")]
    [('data.synthetic.train', 1280), ('data.synthetic.val', 256), ('data.synthetic.classes', 1000)]
    """
    for f in fields(section):
        value = getattr(section, f.name)
        if is_dataclass(value):
            yield from dotted(value, f"{prefix}{f.name}.")
        else:
            yield prefix + f.name, value


def plain(value: Any) -> Any:
    """Return a configuration, or a value of one, as dicts, lists, text and numbers."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def to_yaml(config: Any, recipe: Mapping[str, Any] | None = None) -> str:
    """Return YAML that ``--config`` reads back, with a comment at each key of ``recipe``, which has dotted keys."""
    lines = []
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            lines.append(f"{f.name}:")
            lines += [f"  {_line(g.name, getattr(value, g.name), f'{f.name}.', recipe or {})}" for g in fields(value)]
        else:
            lines.append(_line(f.name, value, "", recipe or {}))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, section: str, recipe: Mapping[str, Any]) -> str:
    comment = ""
    if (key := section + name) in recipe:
        comment = "  # the recipe's" if value == recipe[key] else f"  # the recipe has {flow(recipe[key])}"
    return f"{name}: {flow(value)}{comment}"


def flow(value: Any) -> str:
    """Return a value as YAML on one line.

    >>> flow((1, 2)), flow(None), flow("yes")
    ('[1, 2]', 'null', "'yes'")
    """
    return yaml.safe_dump([plain(value)], default_flow_style=True, width=float("inf")).strip()[1:-1]
