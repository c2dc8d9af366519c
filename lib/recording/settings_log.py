"""Record the settings of a run over its epochs: ``weights_dir/settings.jsonl``, a line for each change of them.

``config.yaml`` holds the latest settings only.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from ..config.dump import dotted, flow
from ..config.load import load_config
from ..errors import ConfigError
from ..system.atomic_write import replace_file

# Settings that do not change what a run learns.
_IRRELEVANT = (
    *("logging.", "run.weights_dir", "run.resume", "run.keep", "run.snapshot", "run.patience", "compute.threads"),
    *("data.slots", "data.readers", "data.decoders", "data.cache", "data.on_error", "data.verify"),
)


class Settings(msgspec.Struct, frozen=True):
    """The settings from one position of the training on."""

    epoch: int
    """completed epochs"""
    iteration: int
    """completed iterations of the epoch"""
    values: dict[str, str]
    """every key, dotted, with its value as YAML"""

    @classmethod
    def of(cls, config: Any, epoch: int = 0, iteration: int = 0) -> "Settings":
        """Return the settings of a ``Config``."""
        return cls(epoch, iteration, {key: flow(value) for key, value in dotted(config)})

    @property
    def position(self) -> tuple[int, int]:
        return self.epoch, self.iteration

    def changes(self, before: "Settings", ignored: Collection[str] = ()) -> str:
        """Return the keys that changed what the run learns, with both values; empty if there are none."""
        pairs = differing([before.values, self.values])
        return ", ".join(f"{key} {old} -> {new}" for key, (old, new) in pairs.items() if key not in ignored)

    def describe(self, before: "Settings") -> str:
        """Return ``changes`` and since when they hold."""
        since = f"iteration {self.iteration} of epoch {self.epoch + 1}" if self.iteration else f"epoch {self.epoch}"
        return f"changed since {since}: {self.changes(before)}"


def differing(rows: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the keys that change what a run learns and differ among ``rows``, with the value of each row."""
    keys = dict.fromkeys(key for row in rows for key in row if not key.startswith(_IRRELEVANT))
    columns = {key: [row.get(key, "") for row in rows] for key in keys}
    return {key: values for key, values in columns.items() if len(set(values)) > 1}


def read_history(folder: Path) -> list[Settings]:
    """Return the settings of the run in ``folder``, oldest first. Damaged lines are left out.

    A run without a record had the settings of its config.yaml, if this version can read them.
    """
    path = folder / "settings.jsonl"
    if path.is_file():
        return list(_entries(path.read_bytes()))
    try:
        return [Settings.of(load_config(folder / "config.yaml"))]
    except ConfigError:
        return []


def record(folder: Path, history: list[Settings]) -> None:
    """Replace the record of the run in ``folder``."""
    replace_file(folder / "settings.jsonl", b"".join(msgspec.json.encode(entry) + b"\n" for entry in history))


def continued(history: list[Settings], now: Settings) -> list[Settings]:
    """Return the history of a training that continues with the settings ``now``.

    Settings from its position on trained nothing that is left, so they are dropped.
    """
    kept = [entry for entry in history if entry.position < now.position]
    return kept if kept and not now.changes(kept[-1]) else [*kept, now]


def describe_history(history: list[Settings]) -> list[str]:
    """Return a line for each change.

    >>> was, now = Settings(0, 0, {"batch_size": "64"}), Settings(2, 0, {"batch_size": "32"})
    >>> describe_history([was, now])
    ['changed since epoch 2: batch_size 64 -> 32']
    """
    return [entry.describe(before) for before, entry in pairwise(history)]


def _entries(content: bytes) -> Iterator[Settings]:
    for line in content.splitlines():
        try:
            yield msgspec.json.decode(line, type=Settings)
        except msgspec.DecodeError:
            continue
