"""A process's connection to the supervisor."""

import time
from pathlib import Path

import zmq

from lib.ipc.channel import MAX_BYTES, TICK_S
from lib.ipc.messages import Failed, Heartbeat, Left, Message, encode


class SupervisorClient:
    """A role's line to the supervisor: what it does, signs of life while it does that, and a last word."""

    def __init__(self, path: Path, role: str, patience_s: float) -> None:
        self._role, self._patience_s = role, patience_s
        self._said, self._said_at = "", 0.0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.connect(f"ipc://{path}")

    def heartbeat(self, doing: str, *, patience_s: float | None = None) -> None:
        """Say what this process does now, at most twice a second while that stays the same; ``patience_s`` where it
        may take longer than usual.
        """
        now = time.monotonic()
        if doing == self._said and now - self._said_at < TICK_S:
            return
        self._said, self._said_at = doing, now
        self._send(Heartbeat(self._role, doing, patience_s or self._patience_s))

    def failed(self, error: str, traceback: str, *, consequence: bool) -> None:
        """The last word; it is given a second to leave."""
        self._send(Failed(self._role, error[: MAX_BYTES // 4], traceback[-MAX_BYTES // 4 :], consequence))
        self.close()

    def left(self, number: int, saved: str) -> None:
        """Say that the run ends early because signal ``number`` asked this process to stop, and what it ``saved``."""
        self._send(Left(self._role, number, saved))

    def close(self) -> None:
        self._context.destroy(linger=1000)

    def _send(self, message: Message) -> None:
        # Never wait for the supervisor: if it is gone, so are we, soon.
        if self._socket.poll(0, zmq.POLLOUT):
            self._socket.send(encode(message))
