"""Retry what may soon succeed, such as reading from a network disk that is away."""

import time
from collections.abc import Callable

from ..errors import DataError

# Seconds of the first pause and of the longest. Each pause is twice as long as the one before.
_FIRST_S, _LONGEST_S = 0.5, 10.0
# Seconds between two heartbeats in a pause.
_HEARTBEAT_S = 0.5


def retry(
    attempt: Callable[[], None],
    *,
    patience_s: float,
    warn: Callable[[str], None],
    heartbeat: Callable[[str], None],
) -> None:
    """Call ``attempt`` until it succeeds. Raises its DataError after ``patience_s``.

    ``warn`` is called with the first failure and with the success after it, ``heartbeat`` twice a second in between.
    """
    start, pause_s, failed = time.monotonic(), _FIRST_S, False
    while True:
        try:
            attempt()
        except DataError as error:
            left_s = patience_s - (time.monotonic() - start)
            if left_s <= 0:
                raise
            if not failed:
                warn(f"{error} [trying again for {patience_s:g} s]")
            failed = True
            _pause(min(pause_s, left_s), f"waiting, as {error}", heartbeat)
            pause_s = min(2 * pause_s, _LONGEST_S)
        else:
            if failed:
                warn(f"it can be read again, after {time.monotonic() - start:.1f} s")
            return


def _pause(seconds: float, status: str, heartbeat: Callable[[str], None]) -> None:
    end = time.monotonic() + seconds
    while (left_s := end - time.monotonic()) > 0:
        heartbeat(status)
        time.sleep(min(left_s, _HEARTBEAT_S))
