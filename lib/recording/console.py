"""What a person sees of a run: one live line a phase and a table of epochs on a terminal, plain lines elsewhere."""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Never, Protocol

from tqdm import tqdm

from lib.evaluation.metrics import Metrics
from lib.recording import epoch_table
from lib.recording.epoch_table import EpochRow
from lib.recording.eta import Eta
from lib.recording.progress_line import fields, fitted
from lib.system.terminal import ignore_broken_pipe

_LINE, _LINE_WITH_BAR = "{desc} {n}/{total}{postfix}", "{desc} {bar:12} {n}/{total}{postfix}"
_BOLD, _GREEN, _YELLOW, _PLAIN = "\033[1m", "\033[32m", "\033[33m", "\033[0m"


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

    def training(self, iteration: int, figures: Metrics, more: Mapping[str, float]) -> None:
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


def describe(figures: Metrics) -> str:
    """Loss and errors for people.

    >>> describe(Metrics(1.5, 0.25, 0.125, 8))
    'loss 1.5000  top-1 error 25.00 %  top-5 error 12.50 %'
    """
    return (
        f"loss {figures.loss:.4f}  top-1 error {100 * figures.top1_error:.2f} %  "
        f"top-5 error {100 * figures.top5_error:.2f} %"
    )


def details(figures: Metrics, more: Mapping[str, float]) -> str:
    """``describe``, with rate, speed and where the time went."""
    times = "  ".join(f"{what} {100 * more[what]:.0f} %" for what in ("wait", "compute", "exchange"))
    return f"{describe(figures)}  rate {more['learning_rate']:g}  {more['images_per_s']:,.0f} images/s  {times}"


class BrokenPipeGuard:
    """``Console`` that does as another does, as long as there is anything to write to."""

    def __init__(self, other: Console) -> None:
        self._other = other

    @ignore_broken_pipe()
    def say(self, text: str) -> None:
        self._other.say(text)

    @ignore_broken_pipe()
    def warn(self, text: str) -> None:
        self._other.warn(text)

    @ignore_broken_pipe()
    def phase(self, name: str, epoch: int, done: int, total: int) -> None:
        self._other.phase(name, epoch, done, total)

    @ignore_broken_pipe()
    def iteration(self) -> None:
        self._other.iteration()

    @ignore_broken_pipe()
    def training(self, iteration: int, figures: Metrics, more: Mapping[str, float]) -> None:
        self._other.training(iteration, figures, more)

    @ignore_broken_pipe()
    def epoch(self, row: EpochRow) -> None:
        self._other.epoch(row)

    @ignore_broken_pipe()
    def close(self) -> None:
        self._other.close()


class Quiet:
    """``Console`` that shows warnings only."""

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None:
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def phase(self, name: str, epoch: int, done: int, total: int) -> None: ...
    def iteration(self) -> None: ...
    def training(self, iteration: int, figures: Metrics, more: Mapping[str, float]) -> None: ...
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

    def training(self, iteration: int, figures: Metrics, more: Mapping[str, float]) -> None:
        self.say(f"{self._where}  iteration {iteration}/{self._iterations}  {details(figures, more)}")

    def epoch(self, row: EpochRow) -> None:
        self.say(f"epoch {row.epoch}: validation {describe(row.validation)}")


class Bar:
    """``Console`` on a terminal."""

    def __init__(self, n_epochs: int, *, coloured: bool) -> None:
        self._n_epochs, self._coloured = n_epochs, coloured
        self._eta = Eta(n_epochs)
        self._bar: tqdm[Never] = tqdm(disable=True)
        self._figures: Metrics | None = None
        self._more: Mapping[str, float] = {}
        self._has_header = False

    def say(self, text: str) -> None:
        tqdm.write(text)

    def warn(self, text: str) -> None:
        tqdm.write(self._paint(_YELLOW, f"warning: {text}"))

    def phase(self, name: str, epoch: int, done: int, total: int) -> None:
        self.close()
        self._eta.begin(name, epoch=epoch, done=done, total=total, now=time.monotonic())
        self._figures = None
        self._bar = tqdm(
            desc=f"{name} {epoch}/{self._n_epochs}",
            initial=done,
            total=total,
            leave=False,
            ncols=_columns(),
            bar_format=_LINE,
        )

    def iteration(self) -> None:
        self._eta.step(time.monotonic())
        self._show(refresh=False)
        self._bar.update()

    def training(self, iteration: int, figures: Metrics, more: Mapping[str, float]) -> None:
        self._figures, self._more = figures, more
        self._show(refresh=True)

    def epoch(self, row: EpochRow) -> None:
        self.close()
        if not self._has_header:
            for line in epoch_table.header():
                self.say(self._paint(_BOLD, line))
            self._has_header = True
        line = epoch_table.line(row, self._n_epochs)
        self.say(line + (self._paint(_GREEN, epoch_table.BEST) if row.is_best else ""))

    def close(self) -> None:
        self._bar.close()

    def _show(self, *, refresh: bool) -> None:
        bar = self._bar
        bar.ncols = _columns()
        room = bar.ncols - len(f"{bar.desc} {bar.total}/{bar.total}, ")
        with_bar, text = fitted(fields(self._eta, self._figures, self._more), room)
        bar.bar_format = _LINE_WITH_BAR if with_bar else _LINE
        bar.set_postfix_str(text, refresh=refresh)

    def _paint(self, how: str, text: str) -> str:
        return f"{how}{text}{_PLAIN}" if self._coloured else text


def _columns() -> int:
    """Columns that a line may take: a character in the last one makes some terminals go to the next line."""
    return shutil.get_terminal_size().columns - 1
