"""The connection of a process to the supervisor."""

import time
from pathlib import Path

import zmq

from .channel import MAX_BYTES, TICK_S
from .messages import Failed, Heartbeat, Message, Stopped, encode


class SupervisorClient:
    """Sends a role's heartbeats and its final message to the supervisor."""

    def __init__(self, path: Path, role: str, patience_s: float) -> None:
        self._role, self._patience_s = role, patience_s
        self._last: tuple[str, float | None] = ("", None)
        self._last_at = 0.0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.connect(f"ipc://{path}")

    def heartbeat(self, doing: str, *, patience_s: float | None = None) -> None:
        """Report what this process is doing, at most twice a second while that stays the same.

        ``patience_s`` is the time it may take, if longer than usual.
        """
        now = time.monotonic()
        if (doing, patience_s) == self._last and now - self._last_at < TICK_S:
            return
        self._last, self._last_at = (doing, patience_s), now
        self._send(Heartbeat(self._role, doing, patience_s or self._patience_s))

    def failed(self, error: str, traceback: str, *, consequence: bool) -> None:
        """Report the error that ends this process, and wait up to a second for the message to leave."""
        self._send(Failed(self._role, error[: MAX_BYTES // 4], traceback[-MAX_BYTES // 4 :], consequence))
        self.close()

    def stopped(self, number: int, saved: str) -> None:
        """Report that signal ``number`` stops the run early, and the checkpoint that was ``saved``."""
        self._send(Stopped(self._role, number, saved))

    def close(self) -> None:
        """Close the connection; sent messages get a second to leave."""
        self._context.destroy(linger=1000)

    def _send(self, message: Message) -> None:
        # Do not wait for the supervisor: if it has ended, this process will end soon.
        if self._socket.poll(0, zmq.POLLOUT):
            self._socket.send(encode(message))
