"""How far it is: a bar on a terminal, a line now and then elsewhere."""

import shutil
import sys
import time
from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm

EVERY_S = 30.0


class PackingProgress:
    """Counts images up to ``total``; shows images/s and the time left. Use it in a ``with``."""

    def __init__(self, what: str, total: int, done: int = 0, every_s: float = EVERY_S) -> None:
        self._what, self._total, self._done, self._every_s = what, total, done, every_s
        self._began_with, self._began = done, time.monotonic()
        self._said = self._began
        self._bar: tqdm[NoReturn] | None = None
        if sys.stderr.isatty():
            size = shutil.get_terminal_size()  # 80 x 24 where the terminal says 0 x 0, as some containers' do
            self._bar = tqdm(desc=what, total=total, initial=done, unit=" images", ncols=size.columns, nrows=size.lines)

    def add(self, count: int) -> None:
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._said >= self._every_s:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        rate = (self._done - self._began_with) / max(self._said - self._began, 1e-9)
        left = f", {_duration((self._total - self._done) / rate)} left" if rate and self._done < self._total else ""
        print(
            f"{self._what}: {self._done:,} of {self._total:,} images, {rate:,.0f} images/s{left}",
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
            self._say()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
