"""Try again what may soon work again: a file on a network disk that is away, or one that is being put back."""

import time
from collections.abc import Callable

from lib.errors import DataError

# Pauses in seconds: the first, and the longest; each is twice the one before.
_FIRST_S, _LONGEST_S = 0.5, 10.0
# While it pauses it says so as often as this.
_TICK_S = 0.5


def retry(
    attempt: Callable[[], None],
    *,
    patience_s: float,
    warn: Callable[[str], None],
    heartbeat: Callable[[str], None],
) -> None:
    """Make ``attempt`` until it succeeds. Raises its DataError once ``patience_s`` are over.

    ``warn`` is told of the first failure and of the end of it; ``heartbeat`` twice a second what we wait for.
    """
    began, pause_s, failed = time.monotonic(), _FIRST_S, False
    while True:
        try:
            attempt()
        except DataError as error:
            left_s = patience_s - (time.monotonic() - began)
            if left_s <= 0:
                raise
            if not failed:
                warn(f"{error} [trying again for {patience_s:g} s]")
            failed = True
            _pause(min(pause_s, left_s), f"waiting, as {error}", heartbeat)
            pause_s = min(2 * pause_s, _LONGEST_S)
        else:
            if failed:
                warn(f"it can be read again, after {time.monotonic() - began:.1f} s")
            return


def _pause(seconds: float, doing: str, heartbeat: Callable[[str], None]) -> None:
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        heartbeat(doing)
        time.sleep(min(left_s, _TICK_S))
