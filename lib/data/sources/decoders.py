"""Decode image files for a loader, in processes of their own or in the loader itself.

The processes write the pixels into memory that the loader sees too.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...config.schema import DataConfig
from ...errors import DataError, UnavailableError
from ...ipc import shared_memory
from ...ipc.messages import TensorHandle
from ...system.worker_pool import Future, WorkerDied, WorkerPool
from ..cache_choice import Cache, caches_folder, disk_advice, memory_advice
from ..disk_cache import Stamp
from ..index import readable
from ..worker_count import max_decoders
from .base import Heartbeat

# Images in memory for each process: those that it decodes, and those that wait for their turn to be copied out.
_SLOTS_PER_PROCESS = 4
_HEARTBEAT_S = 0.5


class ImageDecoder(Protocol):
    """Finds and decodes one image. It is copied into the processes, so it opens files there."""

    def __call__(self, name: bytes) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) called ``name``.

        Raises DataError with the reason if its bytes are not an image, and UnavailableError if they cannot be read.
        """

    def stamp(self, name: bytes) -> Stamp:
        """Return size and time of the file that holds the image. Raises UnavailableError if there is none."""

    def close(self) -> None:
        """Release what was opened."""


def open_decoders(count: int, decode: ImageDecoder, img_size: int) -> "Decoders":
    """Start ``count`` processes; with 0, decode in this process."""
    return DecoderPool(count, decode, img_size) if count else Decoders(decode)


def decoder_advice(data: DataConfig, cache: Cache) -> str:
    """Return what makes a source that decodes faster. Its slots do not, and its readers only if there is a cache."""
    if cache == "memory":
        return memory_advice(data)
    if cache == "disk":
        return disk_advice(data)
    keep = "set data.cache to auto, which keeps decoded images for later epochs"
    if data.cache == "auto":  # found no room
        keep = (
            f"make room in {caches_folder(data)} or name a disk that has it with --data.misc_dir, so that data.cache "
            "can keep decoded images, or pack the images once (preprocessing/generate_data.sh) and read them with "
            "data.source hickle"
        )
    if data.decoders == "auto":
        return keep
    return f"raise data.decoders (now {data.decoders}), up to the processors that a worker has, or {keep}"


class Decoders:
    """Decodes many images, in this process."""

    def __init__(self, decode: ImageDecoder) -> None:
        self._decode = decode

    def decode(
        self, names: Sequence[bytes], out: NDArray[np.uint8], heartbeat: Heartbeat = lambda _: None
    ) -> dict[int, str]:
        """Decode ``names`` into ``out`` (n, H, W, 3). Return the reason for each image that is broken, by its index.

        ``heartbeat`` is called between images, at most twice a second. Raises UnavailableError if one cannot be read
        now. The same call may then be tried again.
        """
        broken = {}
        due = time.monotonic() + _HEARTBEAT_S
        for index, name in enumerate(names):
            if time.monotonic() >= due:
                heartbeat(f"decoding {readable(name)} and the images after it")
                due = time.monotonic() + _HEARTBEAT_S
            try:
                out[index] = self._decode(name)
            except UnavailableError:
                raise
            except DataError as error:
                broken[index] = str(error)
        return broken

    def resize(self, count: int) -> None:
        """Decode with ``count`` processes from now on, if there are any."""

    def close(self) -> None:
        """Release files, processes and memory."""
        self._decode.close()


@dataclass(frozen=True)
class _Context:
    """What every process needs."""

    decode: ImageDecoder
    handle: TensorHandle

    @cached_property
    def slots(self) -> NDArray[np.uint8]:
        """The shared memory (slots, H, W, 3)."""
        slots: NDArray[Any] = shared_memory.attach(self.handle)
        return slots


class _Decode(msgspec.Struct, frozen=True):
    """Decode image ``name`` into a slot."""

    name: bytes
    slot: int

    def run(self, context: _Context) -> None:
        context.slots[self.slot] = context.decode(self.name)

    def __str__(self) -> str:
        return f"the decoding of {readable(self.name)}"


class DecoderPool(Decoders):
    """``Decoders`` with ``count`` processes."""

    def __init__(self, count: int, decode: ImageDecoder, img_size: int) -> None:
        super().__init__(decode)
        shape = (_SLOTS_PER_PROCESS * max_decoders(count), img_size, img_size, 3)
        self._slots, handle = shared_memory.create("decoded images", shape, "uint8")
        self._pool = WorkerPool(count, _Context(decode, handle), _Decode)

    def decode(
        self, names: Sequence[bytes], out: NDArray[np.uint8], heartbeat: Heartbeat = lambda _: None
    ) -> dict[int, str]:
        broken: dict[int, str] = {}
        due = time.monotonic() + _HEARTBEAT_S
        free, waiting = deque(range(len(self._slots))), deque(enumerate(names))
        decoding: deque[tuple[int, int, Future[None]]] = deque()
        unavailable: UnavailableError | None = None
        try:
            while waiting or decoding:
                while waiting and free:
                    index, name = waiting.popleft()
                    decoding.append((index, free[0], self._pool.submit(_Decode(name, free.popleft()), type(None))))
                index, slot, future = decoding.popleft()
                self._pool.wait(future, due - time.monotonic())
                if time.monotonic() >= due:
                    heartbeat(f"decoding {readable(names[index])}")  # once: it may not take for ever
                    due = time.monotonic() + _HEARTBEAT_S
                try:
                    self._pool.result(future)
                    out[index] = self._slots[slot]
                except UnavailableError as error:
                    unavailable = error
                    waiting.clear()  # what was submitted ends first, so that its slots are free
                except DataError as error:
                    broken[index] = str(error)
                free.append(slot)
        except WorkerDied as error:
            raise RuntimeError(f"{error}; is memory short? Try fewer data.decoders") from None
        if unavailable:
            raise unavailable
        return broken

    def resize(self, count: int) -> None:
        self._pool.resize(count)

    def close(self) -> None:
        self._pool.close()
