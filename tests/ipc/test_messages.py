"""Tests of encoding and decoding messages."""

import pickle

import msgspec
import pytest

from lib.errors import ProtocolError
from lib.ipc.messages import (
    Barrier,
    Failed,
    Fill,
    Filled,
    Heartbeat,
    Message,
    Stop,
    Stopped,
    TensorHandle,
    Unreadable,
    decode,
    encode,
)

ONE_OF_EACH: tuple[Message, ...] = (
    TensorHandle("images", "file:/proc/1/fd/3", (4, 2), "uint8"),
    Fill(0, "train", 1, 2),
    Filled(0, 2, 128),
    Unreadable(2, "00001.hkl ends early"),
    Barrier(7, "updated", False),
    Barrier(7, "gathered", True, (1.5, float("inf"))),
    Heartbeat("loader 0", "reading", 60.0),
    Failed("trainer 1", "boom", "Traceback ...", False),
    Stopped("trainer 0", 15, "models/checkpoints/epoch001_iter00000.pt"),
    Stop(),
)


def test_a_file_name_that_is_not_utf_8_is_escaped() -> None:
    message = Failed("trainer 1", "cannot read a\udcff.jpg", "", False)
    assert decode(encode(message)) == Failed("trainer 1", r"cannot read a\udcff.jpg", "", False)


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda m: type(m).__name__)
def test_every_message_survives_encoding(message: Message) -> None:
    assert decode(encode(message)) == message


def test_there_is_an_example_of_every_message() -> None:
    assert {type(message) for message in ONE_OF_EACH} == set(Message.__args__)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff" * 40,
        pickle.dumps(Stop),
        msgspec.msgpack.encode({"type": "Exec", "command": "rm"}),
        msgspec.msgpack.encode({"type": "Fill", "slot": "0", "split": "train", "epoch": 1, "batch": 2}),
        msgspec.msgpack.encode({"type": "Fill", "slot": 0, "split": "test", "epoch": 1, "batch": 2}),
        msgspec.msgpack.encode({"type": "Stop", "extra": 1}),
        msgspec.msgpack.encode({"type": "Filled", "slot": 1}),
        encode(Fill(0, "train", 1, 2))[:-1],
    ],
    ids=lambda frame: frame[:12].hex() or "empty",
)
def test_anything_else_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError, match="is not a valid message"):
        decode(frame)
