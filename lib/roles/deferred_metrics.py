"""Training metrics, from all devices to the recorder.

They are noted on the device and read some updates later. To read them at once would leave the device idle: the host
would wait for it, and then it for the host.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..data.feed import Feed
from ..evaluation.metrics import Meter, PendingMetrics
from ..exchange.base import Exchange, sums
from ..recording.intervals import IntervalMetrics, IntervalTimer, interval_values
from ..recording.metric_table import LOGGED, reduce_workers
from ..system.devices import memory_used
from .builders import MAX_AHEAD


@dataclass(frozen=True, slots=True)
class _Unread:
    pending: PendingMetrics
    iteration: int
    lr: float
    due: int
    """count of updates from which on it is read"""


class DeferredMetrics:
    """One worker's part in them. All workers call the same methods at the same points."""

    def __init__(self, device: torch.device, feed: Feed, exchange: Exchange) -> None:
        self.meter, self.timer = Meter(device), IntervalTimer()
        self.behind = MAX_AHEAD if device.type == "cuda" else 0
        """updates between ``note`` and ``due``"""
        self._device, self._feed, self._exchange = device, feed, exchange
        self._updates = self._noted = 0
        self._unread: deque[_Unread] = deque()

    @property
    def updates(self) -> int:
        """Updates of this process."""
        return self._updates

    def begin(self) -> None:
        """Start the first interval."""
        self.timer.lap(self._feed.waited_s, self._exchange.exchanged_s)

    def updated(self) -> None:
        """Count one more update that the device was given."""
        self._updates += 1

    def note(self, iteration: int, lr: float) -> None:
        """End an interval: mark on the device what the meter has counted, if there were updates."""
        if self._noted == self._updates:
            return
        self._noted = self._updates
        self._unread.append(_Unread(self.meter.note(), iteration, lr, self._updates + self.behind))

    def due(self, *, now: bool = False) -> Iterator[IntervalMetrics]:
        """Yield the intervals that the device has probably finished; with ``now`` all of them."""
        if now and self._unread:
            self._exchange.synchronize()
        while self._unread and (now or self._unread[0].due <= self._updates):
            yield self._read(self._unread.popleft())

    def drop(self) -> None:
        """Forget what was counted and noted."""
        self.meter.reset()
        self._unread.clear()

    def _read(self, unread: _Unread) -> IntervalMetrics:
        totals, first_bad = unread.pending.take()
        lap = self.timer.lap(self._feed.waited_s, self._exchange.exchanged_s)
        means = unread.pending.means()
        # All workers must gather equally many values: NaN stands for a metric that this worker has not logged.
        logged = [means.get(name, math.nan) for name in LOGGED]
        gathered = self._exchange.all_gather([first_bad, *lap, *totals, *logged])
        _, *summed = sums(gathered)
        times, totals, world_size = summed[:3], summed[3:7], len(gathered)
        values = interval_values(totals, times, unread.lr, world_size) | reduce_workers([row[8:] for row in gathered])
        return IntervalMetrics(
            iteration=unread.iteration,
            first_bad=min(row[0] for row in gathered),
            totals=totals,
            seconds=times[0] / world_size,
            values=values | {"memory": memory_used(self._device)},
        )
