"""What a person sees of a run: one live line a phase and a table of epochs on a terminal, plain lines elsewhere."""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Never, Protocol

from tqdm import tqdm

from lib.recording.metrics import Figures
from lib.recording.pace import Pace, clock_time
from lib.recording.terminal import maybe_unread

_COLUMNS = (
    ("epoch", 9),
    ("train loss", 11),
    ("top-1 error", 12),
    ("val loss", 10),
    ("top-1 error", 12),
    ("top-5 error", 12),
    ("rate", 9),
    ("images/s", 9),
    ("time", 8),
)
# Columns that a live line with everything in it takes.
_WIDE = 160
_BOLD, _GREEN, _YELLOW, _PLAIN = "\033[1m", "\033[32m", "\033[33m", "\033[0m"


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """An epoch that is done, as a row of the table."""

    epoch: int
    training: Figures
    validation: Figures
    learning_rate: float
    images_per_s: float
    seconds: float
    is_best: bool


class Console(Protocol):
    """Shows how a run goes."""

    def say(self, text: str) -> None:
        """Lines that stay."""

    def warn(self, text: str) -> None:
        """A line that stays and should be noticed."""

    def phase(self, name: str, epoch: int, done: int, total: int) -> None:
        """``name`` (training, validation) of ``epoch`` (from 1) begins, ``done`` of ``total`` iterations over."""

    def iteration(self) -> None:
        """One more is done."""

    def training(self, iteration: int, figures: Figures, more: Mapping[str, float]) -> None:
        """Figures as of ``iteration``, and rate, speed and time shares."""

    def epoch(self, row: EpochRow) -> None:
        """An epoch's training and validation are over."""

    def close(self) -> None:
        """The phase is over."""


def console(n_epochs: int, *, quiet: bool) -> Console:
    """The console that suits where the output goes."""
    if quiet:
        return Quiet()
    on_terminal = sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Bar(n_epochs, coloured=not os.environ.get("NO_COLOR")) if on_terminal else Lines(n_epochs)


def describe(figures: Figures) -> str:
    """Loss and errors for people.

    >>> describe(Figures(1.5, 0.25, 0.125, 8))
    'loss 1.5000  top-1 error 25.00 %  top-5 error 12.50 %'
    """
    return (
        f"loss {figures.loss:.4f}  top-1 error {100 * figures.top1_error:.2f} %  "
        f"top-5 error {100 * figures.top5_error:.2f} %"
    )


def details(figures: Figures, more: Mapping[str, float]) -> str:
    """``describe``, with rate, speed and where the time went."""
    times = "  ".join(f"{what} {100 * more[what]:.0f} %" for what in ("wait", "compute", "exchange"))
    return f"{describe(figures)}  rate {more['learning_rate']:g}  {more['images_per_s']:,.0f} images/s  {times}"


class Unwatched:
    """``Console`` that does as another does, as long as there is anything to write to."""

    def __init__(self, other: Console) -> None:
        self._other = other

    @maybe_unread()
    def say(self, text: str) -> None:
        self._other.say(text)

    @maybe_unread()
    def warn(self, text: str) -> None:
        self._other.warn(text)

    @maybe_unread()
    def phase(self, name: str, epoch: int, done: int, total: int) -> None:
        self._other.phase(name, epoch, done, total)

    @maybe_unread()
    def iteration(self) -> None:
        self._other.iteration()

    @maybe_unread()
    def training(self, iteration: int, figures: Figures, more: Mapping[str, float]) -> None:
        self._other.training(iteration, figures, more)

    @maybe_unread()
    def epoch(self, row: EpochRow) -> None:
        self._other.epoch(row)

    @maybe_unread()
    def close(self) -> None:
        self._other.close()


class Quiet:
    """``Console`` that shows warnings only."""

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None:
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def phase(self, name: str, epoch: int, done: int, total: int) -> None: ...
    def iteration(self) -> None: ...
    def training(self, iteration: int, figures: Figures, more: Mapping[str, float]) -> None: ...
    def epoch(self, row: EpochRow) -> None: ...
    def close(self) -> None: ...


class Lines(Quiet):
    """``Console`` where there is no terminal: a line for each ``logging.print_freq`` iterations."""

    def __init__(self, n_epochs: int) -> None:
        self._n_epochs, self._where, self._iterations = n_epochs, "", 0

    def say(self, text: str) -> None:
        print(text, flush=True)

    def phase(self, name: str, epoch: int, done: int, total: int) -> None:
        self._where, self._iterations = f"epoch {epoch}/{self._n_epochs}", total

    def training(self, iteration: int, figures: Figures, more: Mapping[str, float]) -> None:
        self.say(f"{self._where}  iteration {iteration}/{self._iterations}  {details(figures, more)}")

    def epoch(self, row: EpochRow) -> None:
        self.say(f"epoch {row.epoch}: validation {describe(row.validation)}")


class Bar:
    """``Console`` on a terminal."""

    def __init__(self, n_epochs: int, *, coloured: bool) -> None:
        self._n_epochs, self._coloured = n_epochs, coloured
        self._pace = Pace(n_epochs)
        self._bar: tqdm[Never] = tqdm(disable=True)
        self._figures, self._has_header = "", False

    def say(self, text: str) -> None:
        tqdm.write(text)

    def warn(self, text: str) -> None:
        tqdm.write(self._paint(_YELLOW, f"warning: {text}"))

    def phase(self, name: str, epoch: int, done: int, total: int) -> None:
        self.close()
        self._pace.begin(name, epoch=epoch, done=done, total=total, now=time.monotonic())
        self._figures = ""
        self._bar = tqdm(
            desc=f"{name} {epoch}/{self._n_epochs}",
            initial=done,
            total=total,
            leave=False,
            dynamic_ncols=True,
            # What matters most comes first: a narrow terminal cuts the end off.
            bar_format="{desc} {bar:12} {n}/{total}{postfix}",
        )

    def iteration(self) -> None:
        self._pace.step(time.monotonic())
        self._show(refresh=False)
        self._bar.update()

    def training(self, iteration: int, figures: Figures, more: Mapping[str, float]) -> None:
        wide = shutil.get_terminal_size().columns >= _WIDE
        self._figures = _in_full(figures, more) if wide else _in_short(figures, more)
        self._show(refresh=True)

    def epoch(self, row: EpochRow) -> None:
        self.close()
        if not self._has_header:
            self.say(self._paint(_BOLD, "".join(f"{name:>{width}}" for name, width in _COLUMNS)))
            self._has_header = True
        values = (
            f"{row.epoch}/{self._n_epochs}",
            f"{row.training.loss:.4f}",
            f"{100 * row.training.top1_error:.2f} %",
            f"{row.validation.loss:.4f}",
            f"{100 * row.validation.top1_error:.2f} %",
            f"{100 * row.validation.top5_error:.2f} %",
            f"{row.learning_rate:g}",
            f"{row.images_per_s:,.0f}",
            clock_time(row.seconds),
        )
        line = "".join(f"{value:>{width}}" for value, (_, width) in zip(values, _COLUMNS, strict=True))
        self.say(line + (self._paint(_GREEN, "  best") if row.is_best else ""))

    def close(self) -> None:
        self._bar.close()

    def _show(self, *, refresh: bool) -> None:
        left = f"left {clock_time(self._pace.left_of_phase())}, run {clock_time(self._pace.left_of_run())}"
        self._bar.set_postfix_str(f"{left}{self._figures}", refresh=refresh)

    def _paint(self, how: str, text: str) -> str:
        return f"{how}{text}{_PLAIN}" if self._coloured else text


def _in_full(figures: Figures, more: Mapping[str, float]) -> str:
    return (
        f"  loss {figures.loss:.3f}  top-1 {100 * figures.top1_error:.1f} %  top-5 {100 * figures.top5_error:.1f} %"
        f"  rate {more['learning_rate']:g}  {more['images_per_s']:,.0f} images/s"
        f"  wait {100 * more['wait']:.0f} compute {100 * more['compute']:.0f} exchange {100 * more['exchange']:.0f} %"
    )


def _in_short(figures: Figures, more: Mapping[str, float]) -> str:
    """What changes from line to line; the table of epochs has the rest."""
    return (
        f"  loss {figures.loss:.2f}  top-1 {100 * figures.top1_error:.0f} %  {more['images_per_s']:,.0f}/s"
        f"  wait {100 * more['wait']:.0f} comp {100 * more['compute']:.0f} exch {100 * more['exchange']:.0f} %"
    )
