"""The figures of a training, from all devices to whoever records them.

They are noted where the device will have them, and read some updates later. To read them at once would let the device
run dry: its host would wait for it, and then it for its host.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from lib.data.feed import Feed
from lib.evaluation.metrics import Meter, PendingMetrics
from lib.exchange.base import Exchange, sums
from lib.recording.clock import Clock
from lib.roles.builders import MOST_AHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalMetrics:
    """All workers' figures of the iterations since the report before, up to ``iteration``."""

    iteration: int
    rate: float
    first_bad: float
    """the first iteration without a finite loss, infinity if there was none"""
    times: Sequence[float]
    """``Clock.lap``, added up over all workers"""
    totals: Sequence[float]
    """``PendingMetrics.take``, added up over all workers"""


@dataclass(frozen=True, slots=True)
class _Unread:
    noted: PendingMetrics
    iteration: int
    rate: float
    due: int  # after so many updates


class DeferredMetrics:
    """One worker's part in them. All workers note and ask at the same points."""

    def __init__(self, device: torch.device, feed: Feed, exchange: Exchange) -> None:
        self.meter, self.clock = Meter(device), Clock()
        self.behind = MOST_AHEAD if device.type == "cuda" else 0
        """updates between the note and the report"""
        self._feed, self._exchange = feed, exchange
        self._updates = self._noted = 0
        self._unread: deque[_Unread] = deque()

    def begin(self) -> None:
        """Time counts from here on."""
        self.clock.lap(self._feed.waited_s, self._exchange.spent_s)

    def updated(self) -> None:
        """One more update is asked of the device."""
        self._updates += 1

    def note(self, iteration: int, rate: float) -> None:
        """What the meter has counted since the last time is to be reported, if there were updates."""
        if self._noted == self._updates:
            return
        self._noted = self._updates
        self._unread.append(_Unread(self.meter.note(), iteration, rate, self._updates + self.behind))

    def due(self, *, now: bool = False) -> Iterator[IntervalMetrics]:
        """What was noted so many updates ago that the device has just come to it; ``now``: all that was noted."""
        if now and self._unread:
            self._exchange.synchronize()
        while self._unread and (now or self._unread[0].due <= self._updates):
            yield self._read(self._unread.popleft())

    def drop(self) -> None:
        """Forget what was counted and noted."""
        self.meter.reset()
        self._unread.clear()

    def _read(self, of: _Unread) -> IntervalMetrics:
        totals, bad_at = of.noted.take()
        times = self.clock.lap(self._feed.waited_s, self._exchange.spent_s)
        gathered = self._exchange.all_gather([bad_at, *times, *totals])
        _, *added = sums(gathered)
        return IntervalMetrics(
            iteration=of.iteration,
            rate=of.rate,
            first_bad=min(row[0] for row in gathered),
            times=added[:3],
            totals=added[3:],
        )
