"""A typed line between two processes, over ZeroMQ. A wait ends in a message or in an error with a name.

Sockets are ``ipc://`` files in the run's private folder: no port to clash, nothing to reach from outside.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import zmq

from lib.errors import PeerLost, ProtocolError
from lib.ipc.messages import Message, decode, encode

M = TypeVar("M", bound=Message)

# No message of ours is larger; ZeroMQ drops a peer that tries.
MAX_BYTES = 1 << 20
# How often a waiting process gives a sign of life.
TICK_S = 0.5


class Channel:
    """One end of a line. ``peer`` is whom errors name; ``on_wait`` is called while waiting, twice a second."""

    def __init__(
        self,
        path: Path,
        *,
        bind: bool,
        peer: str,
        patience_s: float,
        on_wait: Callable[[str], None] = lambda doing: None,
    ) -> None:
        self.peer, self._patience_s, self._on_wait = peer, patience_s, on_wait
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PAIR)
        self._socket.linger = 0  # a dead peer must not keep this process alive for its unread mail
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        (self._socket.bind if bind else self._socket.connect)(f"ipc://{path}")

    def send(self, message: Message) -> None:
        """Raises PeerLost when nobody takes the message in time."""
        if not self._wait(zmq.POLLOUT, f"waiting for {self.peer} to listen"):
            raise PeerLost(f"{self.peer} did not take {type(message).__name__} within {self._patience_s:g} s")
        self._socket.send(encode(message))

    def receive(self, *kinds: type[M]) -> M:
        """The next message, which must be one of ``kinds``.

        Raises PeerLost on silence, ProtocolError on anything else.
        """
        wanted = " or ".join(kind.__name__ for kind in kinds)
        if not self._wait(zmq.POLLIN, f"waiting for {wanted} from {self.peer}"):
            raise PeerLost(f"{self.peer} sent no {wanted} for {self._patience_s:g} s")
        message = decode(self._socket.recv())
        if not isinstance(message, kinds):
            raise ProtocolError(f"expected {wanted} from {self.peer}, got {message}")
        return message

    def ready(self) -> bool:
        """Whether ``receive`` would return at once."""
        return bool(self._socket.poll(0, zmq.POLLIN))

    def close(self) -> None:
        """Let go of the line; what was sent gets some seconds to leave."""
        self._context.destroy(linger=5000)

    def abandon(self) -> None:
        """Let go of the line to one who is lost, at once."""
        self._context.destroy(linger=0)

    def _wait(self, event: int, doing: str) -> bool:
        if self._socket.poll(0, event):
            return True
        waited_s = 0.0
        while (left_s := self._patience_s - waited_s) > 0:
            self._on_wait(doing)
            began = time.monotonic()
            if self._socket.poll(int(1000 * min(left_s, TICK_S)) + 1, event):
                return True
            # Where we were stopped meanwhile (Ctrl-Z), so was our peer: that is no silence of its own.
            waited_s += min(time.monotonic() - began, 2 * TICK_S)
        return False
