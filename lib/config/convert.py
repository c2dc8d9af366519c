"""From text to typed values, and from these to dataclasses."""

import contextlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import ConfigError
from .field_type import ExpandUser, FieldType, field_types
from .hints import value_hint
from .yaml_file import parse_value

_T = TypeVar("_T")


def from_yaml(key: str, value: Any, kind: FieldType) -> Any:
    """Return a value of ``read_settings`` as ``kind``. Raises ConfigError."""
    try:
        return _convert(key, value, kind)
    except (ValueError, RuntimeError):  # Path.expanduser raises RuntimeError for an unknown user
        raise ConfigError(f"{key} is {_show(value)}; it must be {kind.requirement}{value_hint(key, value)}") from None


def from_argument(key: str, text: str, kind: FieldType) -> Any:
    """Return the text of a command line argument as ``kind``. Raises ConfigError."""
    value: Any = text
    if kind.base is tuple:
        with contextlib.suppress(ValueError):  # text that is not YAML is no list either
            value = parse_value(text)
    elif kind.nullable and text in ("null", "~"):
        value = None
    return from_yaml(key, value, kind)


def build(section: type[_T], values: Mapping[str, Any], prefix: str = "") -> _T:
    """Create a dataclass, and those in it, from typed values by dotted key. Absent keys take their defaults."""
    arguments = {}
    for name, default in ((f.name, f.default_factory) for f in fields(section)):  # type: ignore[arg-type]
        if isinstance(default, type) and is_dataclass(default):
            arguments[name] = build(default, values, f"{prefix}{name}.")
        elif prefix + name in values:
            arguments[name] = values[prefix + name]
    return section(**arguments)


def _convert(key: str, value: Any, kind: FieldType) -> Any:
    """Return ``value`` as ``kind``. Raises ValueError, or ConfigError for a key of a mapping within a list."""
    if value is None and kind.nullable:
        return None
    if kind.base is tuple:
        if not isinstance(value, list) or kind.length not in (None, len(value)):
            raise ValueError
        return tuple(_convert(key, item, kind.item) for item in value)
    if isinstance(kind.base, type) and is_dataclass(kind.base):
        kinds = field_types(kind.base)
        if not isinstance(value, dict) or value.keys() != kinds.keys():
            raise ConfigError(f"{key}: {_show(value)} is no mapping with the keys {', '.join(kinds)}")
        return kind.base(**{name: from_yaml(f"{key}: {name}", item, kinds[name]) for name, item in value.items()})
    if not isinstance(value, str):
        raise ValueError
    return _scalar(value, kind)


def _scalar(text: str, kind: FieldType) -> Any:
    if kind.auto and text == "auto":
        return text
    if kind.base is Literal:
        return kind.arguments[kind.choices.index(text)]
    if kind.base is bool:
        return ("false", "true", "no", "yes", "off", "on").index(text.lower()) % 2 == 1
    if kind.base is float:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if kind.base is Path or ExpandUser in kind.metadata:
        if not text or "\0" in text:
            raise ValueError
        return kind.base(Path(text).expanduser())
    return kind.base(text)


def _show(value: Any) -> str:
    """Return a value on one line, shortened.

    >>> _show(None), _show(""), _show(["1", {"a": None}])
    ('null', 'empty', '[1, {a: null}]')
    """
    if isinstance(value, list):
        text = f"[{', '.join(map(_show, value))}]"
    elif isinstance(value, dict):
        text = f"{{{', '.join(f'{key}: {_show(item)}' for key, item in value.items())}}}"
    else:
        text = "null" if value is None else " ".join(value.split()) or "empty"
    return text if len(text) <= 100 else f"{text[:100]}..."
