"""How long repeated work may take, such as an iteration: that depends on how long the one before took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..ipc.supervisor_client import SupervisorClient

# The first may compile, choose kernels or allocate. None may take longer.
_FIRST_FACTOR = 10
# One may take this many times as long as the one before.
_FACTOR = 4


class Pace:
    """Heartbeats of one kind of work. Each piece may take at least ``patience_s``."""

    def __init__(self, client: SupervisorClient, patience_s: float) -> None:
        self._client, self._patience_s, self._longest_s = client, patience_s, _FIRST_FACTOR * patience_s
        self._allowed_s = self._longest_s

    @contextmanager
    def work(self, doing: str) -> Iterator[None]:
        """Report what the block is ``doing``, and how long it may take. It should not wait for other processes."""
        self._client.heartbeat(doing, patience_s=self._allowed_s)
        start = time.monotonic()
        yield
        took_s = time.monotonic() - start
        self._allowed_s = min(max(self._patience_s, _FACTOR * took_s), self._longest_s)
