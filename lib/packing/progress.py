"""Show progress: a bar on a terminal, otherwise a line every 30 seconds."""

import shutil
import sys
import time
from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm

EVERY_S = 30.0


class PackingProgress:
    """Counts images up to ``total``, and shows images/s and the time left. A context manager."""

    def __init__(self, label: str, total: int, done: int = 0, every_s: float = EVERY_S) -> None:
        self._label, self._total, self._done, self._every_s = label, total, done, every_s
        self._done_before, self._start = done, time.monotonic()
        self._printed = self._start
        self._bar: tqdm[NoReturn] | None = None
        if sys.stderr.isatty():
            size = shutil.get_terminal_size()  # 80 x 24 if the terminal reports 0 x 0
            self._bar = tqdm(
                desc=label, total=total, initial=done, unit=" images", ncols=size.columns, nrows=size.lines
            )

    def add(self, count: int) -> None:
        """Count images."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._printed >= self._every_s:
            self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        rate = (self._done - self._done_before) / max(self._printed - self._start, 1e-9)
        left = f", {_duration((self._total - self._done) / rate)} left" if rate and self._done < self._total else ""
        print(
            f"{self._label}: {self._done:,} of {self._total:,} images, {rate:,.0f} images/s{left}",
            file=sys.stderr,
            flush=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._print()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
