"""Hints at what a user meant: a new name, the option of another trainer, the closest key."""

import difflib
from collections.abc import Collection
from typing import Any

from .foreign_options import FOREIGN_OPTIONS

RENAMED_KEYS = {
    "views": "augment.* and normalize.*",
    "views.crop": "augment.crop",
    "views.mirror": "augment.mirror",
    "views.per_image": "augment.per_image",
    "views.color_jitter": "augment.color_jitter",
    "views.pca_lighting": "augment.pca_lighting",
    "views.mean": "normalize.mean",
    "views.std": "normalize.std",
    "run.rewinds": "run.rollbacks",
}
RENAMED_VALUES = {
    ("run.on_nan", "rewind"): "rollback",
    ("compute.compile", "true"): "always",
    ("compute.compile", "false"): "never",
    **{("exchange.what", old): "weights" for old in ("velocities", "momentum", "auto")},
}

_HERE = {name: here for here, names in FOREIGN_OPTIONS.items() for name in names.split()}


def key_hint(name: str, keys: Collection[str], dashes: str = "") -> str:
    """Return what ``name``, which is not one of ``keys``, may stand for, as the end of an error message.

    >>> key_hint("optimizer.learnin_rate", ["optimizer.learning_rate"], "--")
    '; did you mean --optimizer.learning_rate?'
    >>> key_hint("views.mirror", ["augment.mirror"])
    '; it is now called augment.mirror'
    >>> key_hint("nClasses", [])
    '; not needed here: classes are counted (docs/coming_from.md)'
    """
    if name in RENAMED_KEYS:
        return f"; it is now called {RENAMED_KEYS[name]}"
    last = name.rpartition(".")[2]
    names = (name, name.replace("-", "_"), last if len(last) > 1 else name)
    here = next((_HERE[name] for name in names if name in _HERE), "")
    if here and here not in keys:
        here = f"not needed here: {here[2:]}" if here.startswith("- ") else f"use {here}"
        return f"; {here} (docs/coming_from.md)"
    group = [key for key in keys if key.startswith(f"{name}.")]
    if group and not here:
        return f"; {name} is a group of keys; set each by itself, as in {dashes}{group[0]}"
    close = [here] if here else difflib.get_close_matches(name, keys, n=1, cutoff=0.6)
    close = close or [key for key in keys if key.rpartition(".")[2] == last]
    return f"; did you mean {dashes}{close[0]}?" if close else "; --help all lists every key"


def value_hint(key: str, value: Any) -> str:
    """Return the new name of an old value, or how to name devices, as the end of an error message.

    >>> value_hint("run.on_nan", "rewind"), value_hint("devices", "2"), value_hint("run.on_nan", "x")
    ('; rewind is now called rollback', "; for 2 workers: --devices '[auto, auto]' --exchange.method peer", '')
    >>> value_hint("devices", "0,1")
    "; for this: --devices '[cuda:0, cuda:1]'"
    """
    if isinstance(value, str) and (key, value) in RENAMED_VALUES:
        return f"; {value} is now called {RENAMED_VALUES[key, value]}"
    if key == "devices" and value in [str(count) for count in range(2, 17)]:
        devices = ", ".join(["auto"] * int(value))
        return f"; for {value} workers: --devices '[{devices}]' --exchange.method peer"
    if key == "devices" and value and isinstance(value, str):
        names = [f"cuda:{name}" if name.strip().isdigit() else name.strip() for name in value.split(",")]
        return f"; for this: --devices '[{', '.join(names)}]'"
    return ""
