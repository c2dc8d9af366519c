"""From text to typed values, and from these to dataclasses."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from lib.config.field_type import ExpandUser, FieldType, field_types
from lib.config.hints import value_hint
from lib.config.yaml_file import parse_value
from lib.errors import ConfigError

_T = TypeVar("_T")
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_LONGEST = 100


def from_yaml(key: str, value: Any, kind: FieldType) -> Any:
    """Return ``value``, which is as ``read_settings`` gives it, as ``kind``. Raises ConfigError."""
    try:
        return _convert(value, kind)
    except _ItemError as error:
        raise ConfigError(f"{key}: {error}") from None
    except (ValueError, RuntimeError):
        raise ConfigError(f"{key} is {_show(value)}; it must be {kind.requirement}{value_hint(key, value)}") from None


def from_argument(key: str, text: str, kind: FieldType) -> Any:
    """Return the text of a command line argument as ``kind``. Raises ConfigError."""
    value: Any = text
    if kind.base is tuple:
        try:
            value = parse_value(text)
        except ValueError as error:
            raise ConfigError(f"{key} is {text}, which is not YAML; it must be {kind.requirement}") from error
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


class _ItemError(ValueError):
    """A dataclass within a list lacks a key, has an unknown one, or one with a value of the wrong type."""


def _convert(value: Any, kind: FieldType) -> Any:
    """Return ``value`` as ``kind``. Raises ValueError."""
    if value is None and kind.nullable:
        return None
    if kind.base is tuple:
        if not isinstance(value, list) or kind.length not in (None, len(value)):
            raise ValueError
        return tuple(_convert(item, kind.item) for item in value)
    if isinstance(kind.base, type) and is_dataclass(kind.base):
        return _item(value, kind.base)
    if not isinstance(value, str):
        raise ValueError
    return _scalar(value, kind)


def _scalar(text: str, kind: FieldType) -> Any:
    if kind.base is Literal:
        return kind.arguments[kind.choices.index(text)]
    if kind.base is bool:
        if text.lower() not in _BOOLS:
            raise ValueError
        return _BOOLS[text.lower()]
    if kind.base is float:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if kind.base is Path or ExpandUser in kind.metadata:
        if not text or "\0" in text:
            raise ValueError
        return kind.base(Path(text).expanduser())
    return kind.base(text)


def _item(value: Any, kind: type[Any]) -> Any:
    """Return a mapping within a list as a dataclass. Raises _ItemError."""
    kinds = field_types(kind)
    keys = f"; a {kind.__name__.lower()} has the keys {', '.join(kinds)}"
    if not isinstance(value, dict):
        raise _ItemError(f"{_show(value)} is not a mapping{keys}")
    converted = {}
    for name, item in value.items():
        if name not in kinds:
            raise _ItemError(f"there is no {name}{keys}")
        try:
            converted[name] = _convert(item, kinds[name])
        except ValueError:
            raise _ItemError(f"{name} is {_show(item)}; it must be {kinds[name].requirement}") from None
    for field in fields(kind):
        if field.default is MISSING and field.name not in value:
            raise _ItemError(f"{field.name} is missing{keys}")
    return kind(**converted)


def _show(value: Any) -> str:
    """Return a value on one line, shortened.

    >>> _show(None), _show(""), _show(["1", None])
    ('null', 'empty', '[1, null]')
    """
    text = "null" if value is None else f"[{', '.join(map(_show, value))}]" if isinstance(value, list) else str(value)
    text = " ".join(text.split()) or "empty"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
