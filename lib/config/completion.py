"""What a shell offers after a key. ``argcomplete`` asks each of a parser's actions for its completer."""

from argparse import Action
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lib.config.schema import Config
from lib.data.sources.registry import SOURCES
from lib.models.registry import MODELS

# Keys whose type does not say their values.
_VALUES: Mapping[str, Sequence[str]] = {"model.name": tuple(MODELS), "data.source": tuple(SOURCES)}


def add_completers(actions: Sequence[Action]) -> None:
    """Let every action that is a key of the configuration offer its values; files where it takes a path."""
    kind_of = dict(kinds(Config))
    for action in actions:
        if action.dest in kind_of and Path not in (kind_of[action.dest], *get_args(kind_of[action.dest])):
            offered = _VALUES.get(action.dest) or values(kind_of[action.dest])
            action.completer = lambda offered=offered, **_: offered  # type: ignore[attr-defined]


def values(kind: Any) -> list[str]:
    """What a key of this type may be, where that is a few words.

    >>> values(bool), values(Literal["fp32", "bf16"]), values(int)
    (['true', 'false'], ['fp32', 'bf16'], [])
    """
    if kind is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(kind)] if get_origin(kind) is Literal else []


def kinds(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, type) of every key of a section."""
    for name, kind in get_type_hints(section).items():
        if is_dataclass(kind):
            yield from kinds(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, kind
