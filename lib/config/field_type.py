"""The type of a configuration key, taken apart for conversion, range checks, error messages and ``--help``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

_SENTENCES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
_AUTO = Literal["auto"]
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


class Example(str):
    """Metadata of a list's type: a value as YAML, which error messages show."""


class ExpandUser:
    """Metadata of a text that may be a path: a leading ``~`` is replaced by the home folder."""


@dataclass(frozen=True, kw_only=True)
class FieldType:
    """A type hint, taken apart."""

    base: Any
    """int, float, bool, str, Path, Literal, tuple, or a dataclass"""
    arguments: tuple[Any, ...]
    """values of a Literal, or item types of a tuple"""
    nullable: bool
    auto: bool
    """whether the word auto may stand for a number"""
    metadata: tuple[Any, ...]
    """what ``Annotated`` adds"""

    @property
    def item(self) -> "FieldType":
        return field_type(self.arguments[0])

    @property
    def length(self) -> int | None:
        """Items in a tuple; None for any number."""
        return None if ... in self.arguments else len(self.arguments)

    @property
    def choices(self) -> list[str]:
        """The values of a Literal or a bool as text; empty for other types."""
        if self.base is bool:
            return ["true", "false"]
        return [str(value) for value in self.arguments] if self.base is Literal else []

    @property
    def requirement(self) -> str:
        """What a value must be.

        >>> field_type(int).requirement, field_type(tuple[float, float, float] | None).requirement
        ('a whole number', 'a list of 3 numbers or null')
        >>> field_type(int | Literal["auto"]).requirement
        'a whole number or auto'
        """
        if self.base is Literal:
            text = f"one of {', '.join(self.choices)}"
        elif self.base is tuple:
            items = _PLURALS.get(self.item.base) or f"{self.item.name}s"
            examples = [f", e.g. '{extra}'" for extra in self.metadata if isinstance(extra, Example)]
            text = f"a list of {self._count}{items}{''.join(examples)}"
        else:
            text = _SENTENCES[self.base] + (" or auto" if self.auto else "")
        return f"{text}{',' if ', ' in text else ''} or null" if self.nullable else text

    @property
    def name(self) -> str:
        """What ``--help`` calls the type; empty for a Literal, whose values are listed there.

        >>> field_type(int).name, field_type(Path | None).name, field_type(tuple[float, float]).name
        ('int', 'path or null', 'list of 2 float')
        """
        if self.base is Literal:
            return ""
        if self.base is tuple:
            text = f"list of {self._count}{self.item.name}"
        else:
            text = "text" if self.base is str else self.base.__name__.lower()
            text += " or auto" if self.auto else ""
        return f"{text} or null" if self.nullable else text

    @property
    def _count(self) -> str:
        return f"{self.length} " if self.length else ""


def field_type(hint: Any) -> FieldType:
    metadata: Sequence[Any] = ()
    if nullable := NoneType in get_args(hint):
        hint = next(part for part in get_args(hint) if part is not NoneType)
    if auto := _AUTO in get_args(hint):
        hint = next(part for part in get_args(hint) if part != _AUTO)
    if get_origin(hint) is Annotated:
        hint, *metadata = get_args(hint)
    base = get_origin(hint) or hint
    return FieldType(base=base, arguments=get_args(hint), nullable=nullable, auto=auto, metadata=tuple(metadata))


def field_types(section: type[Any], prefix: str = "") -> Mapping[str, FieldType]:
    """Return the type of every key of a dataclass and of the dataclasses nested in it, by dotted key."""
    found: dict[str, FieldType] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        if isinstance(hint, type) and is_dataclass(hint):
            found |= field_types(hint, f"{prefix}{name}.")
        else:
            found[prefix + name] = field_type(hint)
    return found
