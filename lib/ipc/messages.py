"""Everything one process may say to another. If it is not here, nobody says it.

Frozen structs, sent as MessagePack with the type's name as tag. Decoding checks every type and
refuses unknown names and fields; nothing is ever unpickled.
"""

from typing import TypeAlias

import msgspec

from lib.errors import ProtocolError
from lib.types import Phase


class TensorHandle(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Owner -> user, once: here is a tensor of mine.

    ``address`` opens it: ``file:PATH`` for mapped memory, ``cuda:HEX`` for memory of a GPU.
    """

    name: str
    address: str
    shape: tuple[int, ...]
    dtype: str


class Fill(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer -> loader: slot ``slot`` is lent to you; put that batch there.

    The trainer does not read the slot until the matching ``Filled``, the loader does not write it after. No
    lock and no third message is needed.
    """

    slot: int
    split: Phase
    epoch: int
    batch: int
    rollbacks: int = 0
    """how often the training went back: the order follows from it"""


class Filled(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Loader -> trainer: the batch is in the slot; its first ``count`` images are real."""

    slot: int
    batch: int
    count: int


class Unreadable(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Loader -> trainer: that batch cannot be read, and I read none after it. ``error`` is for the user."""

    batch: int
    error: str


class Meet(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer <-> trainer: I am at this point of this step. ``stopping``: I was asked to stop."""

    step: int
    point: str
    stopping: bool


class GatheredValues(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer <-> trainer: sums to be added up, each in rank order."""

    step: int
    values: tuple[float, ...]
    stopping: bool


class Heartbeat(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Any -> supervisor: I am alive, doing this, and it may take ``patience_s`` seconds more."""

    role: str
    doing: str
    patience_s: float


class Failed(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Any -> supervisor: my last word. ``traceback`` is empty where the user can mend the cause."""

    role: str
    error: str
    traceback: str
    consequence: bool  # of another process's failure, which is then the one to report


class Left(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer -> supervisor: this signal asked me to stop, and so all trainers leave before the end.

    ``saved`` is the checkpoint to go on from; empty where another worker keeps them, or there is none.
    """

    role: str
    signal: int
    saved: str = ""


class Stop(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Trainer -> loader: we are done. Loader -> trainer, in answer: so I am, and I send nothing more."""


Message: TypeAlias = (
    TensorHandle | Fill | Filled | Unreadable | Meet | GatheredValues | Heartbeat | Failed | Left | Stop
)


def encode(message: Message) -> bytes:
    """A frame, MessagePack, that ``decode`` reads back."""
    return msgspec.msgpack.encode(message)


def decode(frame: bytes) -> Message:
    """Raises ProtocolError on anything that is not one of the messages above."""
    try:
        message: Message = msgspec.msgpack.decode(frame, type=Message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a frame of {len(frame)} bytes is no message of ours: {error}") from None
    return message
