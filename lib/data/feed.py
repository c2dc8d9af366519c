"""The trainer's end of the loader: an iterator over batches that lends every free slot to the loader."""

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

from ..errors import DataError, ProtocolError
from ..ipc.channel import Channel
from ..ipc.messages import Fill, Filled, Stop, Unreadable
from .plan import BatchRequest
from .slots import Slots
from .upload import Batch


class Feed:
    """An iterator over the batches of ``plan``, in order, on ``device``."""

    def __init__(self, channel: Channel, plan: Iterator[BatchRequest], slots: Slots) -> None:
        self.waited_s = 0.0
        """total seconds spent waiting for the loader while the device had nothing to compute"""
        self.failure = ""
        """why there are no more batches; empty if there are"""
        self._channel, self._plan = channel, plan
        self._upload = slots.upload
        for handle in slots.handles:
            channel.send(handle)
        self._lent: deque[tuple[int, BatchRequest]] = deque()  # being filled by the loader
        self._filled: deque[tuple[int, BatchRequest]] = deque()
        self._ready: deque[Batch] = deque()
        self._slots = list(range(slots.n_slots))
        self._lend(self._slots)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Return the next batch, and release the one before. Raises DataError if it cannot be read."""
        self._lend(self._upload.free_slots(wait=self._upload.congested))
        if self.fails():
            raise DataError(self.failure)
        if not self._ready:
            if not self._filled:
                raise StopIteration
            self._put()
        batch = self._ready.popleft()
        self._upload.hand_over()
        while self._lent and not self.failure and self._channel.ready():
            self._receive()
        while self._filled and len(self._ready) < self._upload.ahead:
            self._put()
        return batch

    def release(self) -> None:
        """Release the current batch: kernels enqueued from now on do not read it."""
        self._upload.release()

    def fails(self, within: int = 1) -> bool:
        """Return whether one of the next ``within`` batches cannot be read; ``failure`` then has the reason.

        Waits for these batches.
        """
        while not self.failure and len(self._ready) + len(self._filled) < within:
            if not self._lent:
                self._lend(self._upload.free_slots(wait=True))
            if not self._lent:
                return False
            self._receive()
        return len(self._ready) + len(self._filled) < within

    def restart(self, plan: Iterator[BatchRequest]) -> None:
        """Continue with another plan, and drop what was read ahead. Raises DataError if that cannot be read."""
        self._plan = iter(())
        for _ in self:
            pass
        while self._upload.free_slots(wait=True):
            pass
        self._plan = plan
        self._lend(self._slots)

    def close(self) -> None:
        """Stop the loader, and wait for its answer: until then it may send more batches."""
        self._upload.close()
        self._channel.send(Stop())
        while not isinstance(self._channel.receive(Filled, Unreadable, Stop), Stop):
            pass
        self._channel.close()

    def _lend(self, slots: list[int]) -> None:
        for slot, request in zip(slots, islice(self._plan, len(slots)), strict=False):
            at = request.phase, request.epoch, request.batch, request.rollbacks
            self._channel.send(Fill(slot, *at, request.rows, request.tops, self.waited_s))
            self._lent.append((slot, request))

    def _receive(self) -> None:
        start = time.perf_counter()
        filled = self._channel.receive(Filled, Unreadable)
        if self._upload.idle():  # a GPU that is still busy loses no time
            self.waited_s += time.perf_counter() - start
        slot, request = self._lent.popleft()
        if isinstance(filled, Unreadable):
            self.failure = filled.error
            return
        if filled != Filled(slot, request.batch, request.count):
            raise ProtocolError(f"expected {request.phase} batch {request.batch} in slot {slot}, got {filled}")
        self._filled.append((slot, request))

    def _put(self) -> None:
        slot, request = self._filled.popleft()
        self._ready.append(self._upload.put(slot, request))
