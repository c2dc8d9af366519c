"""The trainer's end of the loader: an iterator over batches that keeps every other slot filling meanwhile."""

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

import torch

from lib.data.plan import BatchRequest
from lib.data.upload import Batch, upload_to
from lib.errors import DataError, ProtocolError
from lib.ipc import shared_memory
from lib.ipc.channel import Channel
from lib.ipc.messages import Fill, Filled, Stop, Unreadable


class Feed:
    """The batches of ``plan``, in order, on ``device``."""

    def __init__(
        self,
        channel: Channel,
        plan: Iterator[BatchRequest],
        *,
        batch_size: int,
        img_size: int,
        slots: int,
        device: torch.device,
    ) -> None:
        self.waited_s = 0.0
        """seconds spent waiting for the loader with nothing left to compute, in all"""
        self.failure = ""
        """why no more batches come"""
        self._channel, self._plan = channel, plan
        images, images_handle = shared_memory.create("images", (slots, batch_size, img_size, img_size, 3), "uint8")
        labels, labels_handle = shared_memory.create("labels", (slots, batch_size), "int64")
        channel.send(images_handle)
        channel.send(labels_handle)
        self._upload = upload_to(device, images, labels)
        self._lent: deque[tuple[int, BatchRequest]] = deque()  # with the loader
        self._filled: deque[tuple[int, BatchRequest]] = deque()
        self._ready: deque[Batch] = deque()
        self._slots = list(range(slots))
        self._lend(self._slots)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next batch; the one before must not be read any more. Raises DataError when it cannot be read."""
        self._lend(self._upload.taken(wait=self._upload.crowded))
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
        """The batch in hand is not read any more by what the device is asked to do from here on."""
        self._upload.release()

    def fails(self, within: int = 1) -> bool:
        """Whether one of the next ``within`` batches cannot be read, and ``failure`` says why.

        Waits until that is known.
        """
        while not self.failure and len(self._ready) + len(self._filled) < within:
            if not self._lent:
                self._lend(self._upload.taken(wait=True))
            if not self._lent:
                return False
            self._receive()
        return len(self._ready) + len(self._filled) < within

    def restart(self, plan: Iterator[BatchRequest]) -> None:
        """Go on with another plan; what was read ahead is thrown away. Raises DataError when it cannot be read."""
        self._plan = iter(())
        for _ in self:
            pass
        while self._upload.taken(wait=True):
            pass
        self._plan = plan
        self._lend(self._slots)

    def close(self) -> None:
        """Send the loader home, and stay until it has gone: it may still have batches to hand over."""
        self._upload.close()
        self._channel.send(Stop())
        while not isinstance(self._channel.receive(Filled, Unreadable, Stop), Stop):
            pass
        self._channel.close()

    def _lend(self, slots: list[int]) -> None:
        for slot, ask in zip(slots, islice(self._plan, len(slots)), strict=False):
            self._channel.send(Fill(slot, ask.phase, ask.epoch, ask.batch, ask.rollbacks))
            self._lent.append((slot, ask))

    def _receive(self) -> None:
        began = time.perf_counter()
        filled = self._channel.receive(Filled, Unreadable)
        if self._upload.idle():  # a GPU that was still busy has lost nothing by it
            self.waited_s += time.perf_counter() - began
        slot, ask = self._lent.popleft()
        if isinstance(filled, Unreadable):
            self.failure = filled.error
            return
        if filled != Filled(slot, ask.batch, ask.count):
            raise ProtocolError(f"asked for {ask.phase} batch {ask.batch} in slot {slot}, got {filled}")
        self._filled.append((slot, ask))

    def _put(self) -> None:
        slot, ask = self._filled.popleft()
        self._ready.append(self._upload.put(slot, ask.params))
