"""YAML as the configuration needs it: every scalar stays text until the type of its key is known.

So ``5e-4``, ``010``, ``no`` and ``2024-05-01`` mean what the type of the key says, not what YAML 1.1 guesses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Refuses aliases: a few lines of them can expand to more than memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not supported", problem_mark=mark)
        return super().compose_node(parent, index)


def read_settings(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every setting in ``file``. A value is text, None for null, or a list of values.

    An empty section yields (its key, None or {}). Raises ConfigError naming the file, and the lines of a key that is
    set twice.
    """
    try:
        root = _compose(file.read_bytes())
        if not isinstance(root, yaml.MappingNode | None):
            raise ValueError("it must hold a mapping of settings, e.g. batch_size: 256")
        yield from _settings(root, "", {}) if root else ()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None


def parse_value(text: str) -> Any:
    """Return the value that YAML text stands for. Raises ValueError.

    >>> parse_value("[1e-3, ~, {a: no}]")
    ['1e-3', None, {'a': 'no'}]
    """
    node = _compose(text)
    return None if node is None else _value(node)


def _compose(text: str | bytes) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError("it is not YAML: it is nested too deeply") from None


def _settings(node: yaml.MappingNode, prefix: str, lines: dict[str, int]) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for the settings in ``node``, and note the line of each key in ``lines``."""
    for key_node, value in node.value:
        key, line = f"{prefix}{key_node.value}", key_node.start_mark.line + 1
        if key in lines:
            raise ValueError(f"{key} is set twice, on lines {lines[key]} and {line}; keep one of them")
        lines[key] = line
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _settings(value, f"{key}.", lines)
        else:
            yield key, _value(value)


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return dict(_settings(node, "", {}))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    return None if node.tag == "tag:yaml.org,2002:null" else node.value
