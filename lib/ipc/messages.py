"""All messages between processes.

They are frozen structs, sent as MessagePack with the type's name as tag. Decoding checks every type and refuses
unknown names and fields. Nothing is unpickled.
"""

from typing import TypeAlias

import msgspec
from msgspec.structs import asdict, replace

from ..errors import ProtocolError
from ..types import Phase


class TensorHandle(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Owner -> user, once: the address of a shared tensor.

    ``address`` is ``file:PATH`` for mapped memory, ``cuda:HEX`` for GPU memory.
    """

    name: str
    address: str
    shape: tuple[int, ...]
    dtype: str


class Fill(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer -> loader: read this batch into slot ``slot``.

    The trainer does not read the slot before the matching ``Filled``, and the loader does not write it after. So no
    lock and no third message is needed.
    """

    slot: int
    phase: Phase
    epoch: int
    batch: int
    rollbacks: int = 0
    """times the training returned to a checkpoint; the order of images depends on it"""
    rows: int = 0
    """rows to read of each image; 0: all"""
    tops: tuple[int, ...] = ()
    """the first of these rows, for each image; empty if all are read"""
    waited_s: float = 0.0
    """seconds that the trainer has waited for batches so far"""


class Filled(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Loader -> trainer: the batch is in the slot; only its first ``count`` images are valid."""

    slot: int
    batch: int
    count: int


class Unreadable(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Loader -> trainer: this batch cannot be read, and no later one will be. ``error`` is for the user."""

    batch: int
    error: str


class Barrier(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer <-> trainer: the sender has reached ``point`` of ``step``. ``stopping``: it was asked to stop."""

    step: int
    point: str
    stopping: bool
    values: tuple[float, ...] = ()
    """the sender's values for ``all_gather``"""


class Heartbeat(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Any -> supervisor: the sender is alive and ``doing`` this, which may take ``patience_s`` more seconds."""

    role: str
    doing: str
    patience_s: float


class Failed(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Any -> supervisor: the sender ends with ``error``. ``traceback`` is empty if the user can fix the cause."""

    role: str
    error: str
    traceback: str
    consequence: bool
    """whether another process failed first, whose error is the one to report"""


class Stopped(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer -> supervisor: ``signal`` asked the sender to stop, so all trainers stop before the end of the run.

    ``saved`` is the checkpoint to resume from; empty if another worker saves them, or if there is none.
    """

    role: str
    signal: int
    saved: str = ""


class Stop(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer -> loader: no more batches are needed. Loader -> trainer, in reply: nothing more will be sent."""


Message: TypeAlias = TensorHandle | Fill | Filled | Unreadable | Barrier | Heartbeat | Failed | Stopped | Stop


def encode(message: Message) -> bytes:
    """Return ``message`` as MessagePack."""
    try:
        return msgspec.msgpack.encode(message)
    except UnicodeEncodeError:  # a text names a file whose name is not UTF-8
        texts = {name: value for name, value in asdict(message).items() if isinstance(value, str)}
        shown = {name: value.encode("utf-8", "backslashreplace").decode() for name, value in texts.items()}
        return msgspec.msgpack.encode(replace(message, **shown))


def decode(frame: bytes) -> Message:
    """Return the message in ``frame``. Raises ProtocolError if it is not one of the messages above."""
    try:
        message: Message = msgspec.msgpack.decode(frame, type=Message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a frame of {len(frame)} bytes is not a valid message: {error}") from None
    return message
