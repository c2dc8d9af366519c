"""Processes that decode pictures for a loader, and write them into memory that it sees too.

Each has a pipe and two places in that memory: while the loader takes one picture out, the next is decoded.
They end when their pipe does, so with the loader, however that ends. With none, the loader decodes itself.
"""

import atexit
import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from lib.config.schema import DataConfig
from lib.errors import DataError, UnavailableError, error_text
from lib.ipc import shared_memory
from lib.ipc.messages import TensorHandle

_PLACES = 2


class Decoder(Protocol):
    """Finds and decodes one picture. Travels to the decoders, so it opens what it needs there."""

    def __call__(self, name: bytes) -> NDArray[np.uint8]:
        """The picture (H, W, 3) that ``name`` stands for.

        Raises DataError with the reason when its bytes are no picture, UnavailableError when they cannot be had.
        """

    def close(self) -> None:
        """Give back what was opened."""


class Decoders(Protocol):
    """Decodes many pictures."""

    def fill(self, names: Sequence[bytes], out: NDArray[np.uint8]) -> dict[int, str]:
        """Decode ``names`` into ``out`` (n, H, W, 3). Returns why not, for the places of broken pictures.

        Raises UnavailableError when one cannot be read now; the same may be asked again.
        """

    def close(self) -> None:
        """Give back processes and memory."""


def open_decoders(count: int, decode: Decoder, img_size: int) -> Decoders:
    """``count`` processes, or this one where that is 0."""
    return DecoderPool(count, decode, img_size) if count else Here(decode)


def more_decoders(data: DataConfig) -> str:
    """What makes a source that decodes faster: its readers and slots do not."""
    return (
        f"raise data.decoders (now {data.decoders}), up to the processors that a worker has, "
        "or pack the pictures once (preprocessing/generate_data.sh) and read them with data.source hickle"
    )


class Here:
    """``Decoders`` without processes of their own."""

    def __init__(self, decode: Decoder) -> None:
        self._decode = decode

    def fill(self, names: Sequence[bytes], out: NDArray[np.uint8]) -> dict[int, str]:
        failed = {}
        for place, name in enumerate(names):
            try:
                out[place] = self._decode(name)
            except UnavailableError:
                raise
            except DataError as error:
                failed[place] = str(error)
        return failed

    def close(self) -> None:
        self._decode.close()


class _Answer(NamedTuple):
    """What a decoder says of one picture: nothing when it is done, or else one of these."""

    broken: str = ""
    unavailable: str = ""

    @property
    def done(self) -> bool:
        return not (self.broken or self.unavailable)


class _Worker:
    """The loader's end of one decoder."""

    def __init__(self, pipe: Connection, pictures: NDArray[np.uint8]) -> None:
        self.pipe, self.given = pipe, deque[int]()
        self._pictures, self._taken = pictures, 0

    def give(self, place: int, name: bytes) -> None:
        """Ask for the picture that goes to ``place``."""
        try:
            self.pipe.send_bytes(name)
        except OSError:
            raise _lost() from None
        self.given.append(place)

    def take(self, out: NDArray[np.uint8]) -> tuple[int, _Answer]:
        """One picture into its place in ``out``: the place, and what the decoder says of it."""
        try:
            answer = msgspec.msgpack.decode(self.pipe.recv_bytes(), type=_Answer)
        except (EOFError, OSError):
            raise _lost() from None
        place = self.given.popleft()
        if answer.done:
            out[place] = self._pictures[self._taken % _PLACES]
        self._taken += 1
        return place, answer


class DecoderPool:
    """``count`` decoder processes."""

    def __init__(self, count: int, decode: Decoder, img_size: int) -> None:
        shape = (count, _PLACES, img_size, img_size, 3)
        pictures, handle = shared_memory.create("pictures", shape, "uint8")
        context = multiprocessing.get_context("spawn")
        self._workers, self._processes = [], []
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, decode, handle, number), daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(ours, pictures[number]))
            self._processes.append(process)
        atexit.register(self.close)  # or else multiprocessing's own end, after an error, would wait for them

    def fill(self, names: Sequence[bytes], out: NDArray[np.uint8]) -> dict[int, str]:
        failed: dict[int, str] = {}
        unavailable = ""
        todo = deque(enumerate(names))
        while todo or any(worker.given for worker in self._workers):
            for _ in range(_PLACES):
                self._give(todo)
            busy = {worker.pipe: worker for worker in self._workers if worker.given}
            for pipe in connection.wait(list(busy)):
                place, answer = busy[pipe].take(out)  # type: ignore[index]
                if answer.broken:
                    failed[place] = answer.broken
                if answer.unavailable:
                    unavailable = answer.unavailable
                    todo.clear()  # what was given comes back first, so that each pipe is at rest
        if unavailable:
            raise UnavailableError(unavailable)
        return failed

    def close(self) -> None:
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.pipe.close()
        for process in self._processes:
            process.join()

    def _give(self, todo: deque[tuple[int, bytes]]) -> None:
        """One more to each that has a place free."""
        for worker in self._workers:
            if todo and len(worker.given) < _PLACES:
                worker.give(*todo.popleft())


def _lost() -> RuntimeError:
    return RuntimeError("a decoder process was ended; is memory short? Try fewer data.decoders")


def _work(pipe: Connection, decode: Decoder, handle: TensorHandle, number: int) -> None:
    """What a decoder does: one picture after the other, until the pipe ends."""
    for number_of_signal in (signal.SIGINT, signal.SIGTERM):  # they are for supervisor and trainer
        signal.signal(number_of_signal, signal.SIG_IGN)
    pictures = shared_memory.attach(handle)[number]
    done = 0
    try:
        while True:
            name = pipe.recv_bytes()
            answer = _Answer()
            try:
                pictures[done % _PLACES] = decode(name)
            except UnavailableError as error:
                answer = _Answer(unavailable=error_text(error))
            except DataError as error:
                answer = _Answer(broken=error_text(error))
            pipe.send_bytes(msgspec.msgpack.encode(answer))
            done += 1
    except (EOFError, OSError):
        return  # the loader has closed its end, or is gone
