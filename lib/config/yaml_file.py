"""YAML as the configuration needs it: every scalar stays text until the type of its key is known.

So ``5e-4``, ``010``, ``no`` and ``2024-05-01`` mean what the type of the key says, not what YAML 1.1 guesses.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lib.errors import ConfigError

_NULL = "tag:yaml.org,2002:null"


class _Loader(yaml.SafeLoader):
    """Refuses aliases: a few lines of them can expand to more than memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not supported", problem_mark=mark)
        return super().compose_node(parent, index)


def read_settings(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every setting in ``file``; see ``parse_value`` for the values.

    A section without keys yields (its key, None). Raises ConfigError naming the file, and the lines of a key that is
    set twice.
    """
    try:
        root = _compose(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML: {error}") from None
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file} must hold a mapping of settings, e.g. batch_size: 256")
    lines: dict[str, int] = {}
    try:
        for key, line, value in _walk(root, ""):
            _refuse_duplicate(lines, key, line)
            if not isinstance(value, yaml.MappingNode) or not value.value:
                yield key, _value(value)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None


def parse_value(text: str) -> Any:
    """Return a YAML document as text, None for null, lists and dicts of these. Raises ValueError.

    >>> parse_value("[1e-3, ~, {a: no}]")
    ['1e-3', None, {'a': 'no'}]
    """
    node = _compose(text)
    return None if node is None else _value(node)


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _walk(node: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, int, yaml.Node]]:
    """Yield (dotted key, line, value) for every key below ``node``, sections included."""
    for key_node, value in node.value:
        key = f"{prefix}{key_node.value}"
        yield key, key_node.start_mark.line + 1, value
        if isinstance(value, yaml.MappingNode):
            yield from _walk(value, f"{key}.")


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, _ in node.value:
            _refuse_duplicate(lines, str(key.value), key.start_mark.line + 1)
        return {str(key.value): _value(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    return None if node.tag == _NULL else node.value


def _refuse_duplicate(lines: dict[str, int], key: str, line: int) -> None:
    """Note the line of a key. Raises ValueError when the key is there already."""
    if key in lines:
        raise ValueError(f"{key} is set twice, on lines {lines[key]} and {line}; keep one of them")
    lines[key] = line
