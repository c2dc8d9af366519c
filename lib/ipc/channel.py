"""A typed connection between two processes over ZeroMQ. Every wait ends in a message or an error that names the peer.

Sockets are ``ipc://`` files in the run's private folder, so no port can clash and nothing is reachable from outside.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import zmq

from ..errors import PeerLost, ProtocolError
from .messages import Message, decode, encode

M = TypeVar("M", bound=Message)

# No message is larger; ZeroMQ disconnects a peer that sends one.
MAX_BYTES = 1 << 20
# Seconds between heartbeats of a waiting process.
TICK_S = 0.5


class Channel:
    """One end of a connection.

    Errors name ``peer``. A wait ends after ``patience_s`` seconds. While waiting, ``on_wait`` is called twice a second
    with a description of the wait.
    """

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
        self._socket.linger = 0  # unread messages to a dead peer must not keep this process alive
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        (self._socket.bind if bind else self._socket.connect)(f"ipc://{path}")

    def send(self, message: Message) -> None:
        """Send ``message``. Raises PeerLost if the peer does not connect in time."""
        if not self._wait(zmq.POLLOUT, f"waiting for {self.peer} to connect"):
            raise PeerLost(f"{self.peer} did not receive {type(message).__name__} within {self._patience_s:g} s")
        self._socket.send(encode(message))

    def receive(self, *kinds: type[M]) -> M:
        """Return the next message, which must be one of ``kinds``.

        Raises PeerLost if none arrives in time, ProtocolError if another message arrives.
        """
        expected = " or ".join(kind.__name__ for kind in kinds)
        if not self._wait(zmq.POLLIN, f"waiting for {expected} from {self.peer}"):
            raise PeerLost(f"{self.peer} sent no {expected} for {self._patience_s:g} s")
        message = decode(self._socket.recv())
        if not isinstance(message, kinds):
            raise ProtocolError(f"expected {expected} from {self.peer}, got {message}")
        return message

    def ready(self) -> bool:
        """Return whether ``receive`` would return at once."""
        return bool(self._socket.poll(0, zmq.POLLIN))

    def close(self, linger_s: float = 5.0) -> None:
        """Close the connection; sent messages get ``linger_s`` seconds to leave."""
        self._context.destroy(linger=int(1000 * linger_s))

    def _wait(self, event: int, doing: str) -> bool:
        """Wait for a ZeroMQ event. Return False if it does not occur in time."""
        if self._socket.poll(0, event):
            return True
        waited_s = 0.0
        while (left_s := self._patience_s - waited_s) > 0:
            self._on_wait(doing)
            start = time.monotonic()
            if self._socket.poll(int(1000 * min(left_s, TICK_S)) + 1, event):
                return True
            # If this process was suspended (Ctrl-Z), so was its peer: that time does not count.
            waited_s += min(time.monotonic() - start, 2 * TICK_S)
        return False
