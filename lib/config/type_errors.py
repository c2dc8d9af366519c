"""What jsonargparse says of a value of the wrong kind, put as all other errors here are."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from lib.config.schema import Regime

_SAID = re.compile(r'Parser key "([\w.]+)": (.*)')
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts", Regime: "regimes"}
_SHORT = {Path: "path", str: "text", NoneType: "null", Regime: "regime"}
_EXAMPLES = {
    "devices": '["cuda:0"]',
    "model.freeze": '["features"]',
    "schedule.regimes": "[{first_epoch: 1, rate: 1, decay: 1}]",
    "schedule.steps": "[20, 40]",
    "normalize.std": "[58.4, 57.12, 57.38]",
}
# What is said of a part of a value -> the same in our words.
_PARTS = (
    (r"Option '(\w+)' is not accepted", r"there is no \1"),
    (r"the following arguments are required: (.*)", r"\1 is missing"),
    (r'Parser key "(\w+)": .*value: ?(.*)', r"\1 is \2"),
)


def in_our_words(said: str, kind_of: Mapping[str, Any]) -> str:
    """The same in our words, on one line; what is not known as such an error stays as it is.

    ``kind_of`` has the type of each key.

    >>> in_our_words("Parser key \\"a.b\\": Expected a <class 'int'>. Got value: z", {"a.b": int})
    'a.b is z; it must be a whole number'
    >>> in_our_words("argument --a.b: expected one argument", {})
    'argument --a.b: expected one argument'
    """
    said = " ".join(said.split())
    match = _SAID.fullmatch(said)
    if not match:
        return said
    key, why = match.groups()
    if inner := sorted(name for name in kind_of if name.startswith(f"{key}.")):
        return f"{key} is a group of keys; set each by itself, as in --{inner[0]} VALUE"
    if key not in kind_of:
        return said
    if "Problem with given class_path" in why:
        part = why.partition("': ")[2]
        for theirs, ours in _PARTS:
            part = re.sub(theirs, ours, part)
        return f"{key}: {part}; it must be {must_be(key, kind_of[key])}"
    value = why.rpartition("value:")[2].strip() or "empty"
    return f"{key} is {'null' if value == 'None' else value}; it must be {must_be(key, kind_of[key])}"


def must_be(key: str, kind: Any) -> str:
    """What values a key of this type takes.

    >>> must_be("run.seed", int), must_be("normalize.std", tuple[float, float, float] | None)
    ('a whole number', "a list of 3 numbers, e.g. '[58.4, 57.12, 57.38]', or null")
    """
    inner = _without_null(kind)
    if get_origin(inner) is Literal:
        told = f"one of {', '.join(map(str, get_args(inner)))}"
    elif get_origin(inner) is tuple:
        told = f"a list of {_how_many(inner)}{_MANY[get_args(inner)[0]]}, e.g. '{_EXAMPLES[key]}'"
    else:
        told = _KINDS[inner]
    return told if inner is kind else f"{told}{',' if get_origin(inner) else ''} or null"


def short(kind: Any) -> str:
    """A type as --help names it; nothing where it lists the values themselves.

    >>> short(int), short(Path | None), short(tuple[float, float, float]), short(Literal["x"])
    ('int', 'path or null', 'list of 3 float', '')
    """
    inner = _without_null(kind)
    if inner is not kind:
        return f"{short(inner)} or null"
    if get_origin(kind) is Literal:
        return ""
    if get_origin(kind) is tuple:
        return f"list of {_how_many(kind)}{short(get_args(kind)[0])}"
    return _SHORT.get(kind) or str(kind.__name__)


def takes_null(kind: Any) -> bool:
    """Whether a key of this type may be null."""
    return NoneType in get_args(kind)


def _without_null(kind: Any) -> Any:
    return next(part for part in get_args(kind) if part is not NoneType) if takes_null(kind) else kind


def _how_many(kind: Any) -> str:
    parts = get_args(kind)
    return "" if Ellipsis in parts else f"{len(parts)} "
