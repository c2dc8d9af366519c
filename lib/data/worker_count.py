"""How many threads or processes read for a trainer, where ``data.readers`` or ``data.decoders`` is auto.

A loader starts with its share of the cores and then follows what its trainer waits. Too many threads wait for each
other and for the memory that all share, so more is not always better. The images do not depend on the number.
"""

from dataclasses import replace
from typing import Literal

from ..config.schema import DataConfig
from ..system.cpus import usable_cores

Setting = int | Literal["auto"]

# Threads copy rows faster than any trainer needs them with about six; more only wait for memory.
_START_READERS, _MAX_READERS = 6, 16
_MAX_DECODERS = 64
# A trainer that waits for less than this share of its time is fed.
_ENOUGH = 0.01
# A share of waiting that has grown by less than this factor, or by less than this share, has not grown.
_WORSE, _NOISE = 1.1, 0.01
# Seconds over which waiting is measured.
_WINDOW_S = 1.0


def readers(setting: Setting, loaders: int = 1) -> int:
    """Return the reader threads of one of ``loaders`` loaders on this machine, at the start."""
    share = usable_cores() // loaders
    return max(1, min(_START_READERS, share)) if setting == "auto" else setting


def decoders(setting: Setting, loaders: int = 1) -> int:
    """Return the decoder processes of one of ``loaders`` loaders on this machine, at the start."""
    share = usable_cores() // loaders
    return max(1, min(_MAX_DECODERS // 2, share)) if setting == "auto" else setting


def with_counts(data: DataConfig, loaders: int) -> DataConfig:
    """Return ``data`` with numbers in place of auto, for one of ``loaders`` loaders on this machine."""
    return replace(data, readers=readers(data.readers, loaders), decoders=decoders(data.decoders, loaders))


def max_decoders(start: int) -> int:
    """Return the most decoder processes that a loader tries: those beyond the cores overlap waits for a slow disk."""
    return max(min(2 * start, _MAX_DECODERS), start)


def adaptive_count(data: DataConfig, counts: DataConfig, kind: Literal["readers", "decoders"]) -> "AdaptiveCount":
    """Return the number of this kind, which starts as in ``counts`` and stays there if ``data`` fixes it."""
    setting, start = (getattr(section, kind) for section in (data, counts))
    if setting != "auto":
        return AdaptiveCount(start, start, fixed=True)
    return AdaptiveCount(start, max(_MAX_READERS, start) if kind == "readers" else max_decoders(start))


class AdaptiveCount:
    """A number between 1 and ``most`` that is changed in steps while the trainer waits, as long as a step helps."""

    def __init__(self, start: int, most: int, *, fixed: bool = False) -> None:
        self.value = start
        self._fixed = fixed
        self._most, self._direction = most, 1
        self._began_s: float | None = None
        self._waited_s = 0.0
        self._share_before: float | None = None
        """share of waiting before the last step; None after a window without waiting"""

    def observe(self, now_s: float, waited_s: float) -> bool:
        """Take the clock and the trainer's seconds of waiting since the start. Return whether ``value`` has changed."""
        if self._fixed:
            return False
        if self._began_s is None:
            if not waited_s:
                return False
            self._began_s, self._waited_s = now_s, waited_s  # it has waited for the first batch, whatever the number
        elapsed_s = now_s - self._began_s
        if elapsed_s < _WINDOW_S:
            return False
        share = (waited_s - self._waited_s) / elapsed_s
        self._began_s, self._waited_s = now_s, waited_s
        return self._step(share)

    def _step(self, share: float) -> bool:
        before, self._share_before = self._share_before, share
        if share < _ENOUGH:
            self._share_before = None
            return False
        if before is not None and share > max(before * _WORSE, before + _NOISE):
            self._direction = -self._direction
        step = self._direction * max(1, self.value // 4)
        if not 1 <= self.value + step <= self._most:
            self._direction = -self._direction
            step = -step
        value = min(self._most, max(1, self.value + step))
        changed, self.value = value != self.value, value
        return changed
