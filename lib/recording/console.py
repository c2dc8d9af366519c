"""Show a run to a person: a progress bar and a table of epochs on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

from tqdm import tqdm

from ..system.terminal import ignore_broken_pipe, print_stderr
from ..types import Phase
from .epoch_table import BEST, HEADER, EpochRow
from .metric_table import describe, format_values

_BOLD, _GREEN, _YELLOW, _RESET = "\033[1m", "\033[32m", "\033[33m", "\033[0m"


class LineConsole:
    """Prints a line for each interval and each epoch. Base class of the other consoles."""

    def __init__(self, n_epochs: int) -> None:
        self._n_epochs, self._epoch, self._total = n_epochs, 0, 0

    @ignore_broken_pipe()
    def info(self, text: str) -> None:
        """Show lines that stay."""
        print(text, flush=True)

    def warning(self, text: str) -> None:
        """Show a warning. It stays."""
        print_stderr(f"warning: {text}")

    def begin(self, phase: Phase, epoch: int, done: int, total: int) -> None:
        """Begin ``phase`` of ``epoch`` (from 1), ``done`` of whose ``total`` iterations are done already."""
        self._epoch, self._total = epoch, total

    def step(self) -> None:
        """Count one more iteration of the phase."""

    def first(self, values: Mapping[str, float]) -> None:
        """Show the metrics of the first iteration where lines do not stay."""

    def interval(self, iteration: int, values: Mapping[str, float]) -> None:
        """Show the metrics of the interval that ended with ``iteration``."""
        place = f"epoch {self._epoch}/{self._n_epochs}", f"iteration {iteration}/{self._total}"
        self.info("  ".join([*place, *format_values(values)]))

    def epoch(self, row: EpochRow) -> None:
        """Show the result of an epoch, once it is trained and validated."""
        self.info(f"epoch {row.epoch}: validation {describe(row.validation)}")

    def end(self) -> None:
        """End the phase."""


class QuietConsole(LineConsole):
    """Shows warnings only."""

    def info(self, text: str) -> None:
        """Show nothing."""


class BarConsole(LineConsole):
    """Shows a progress bar for each phase and a row for each epoch, on a terminal."""

    def __init__(self, n_epochs: int, *, coloured: bool) -> None:
        super().__init__(n_epochs)
        self._coloured = coloured
        self._bar: ProgressBar | None = None
        self._durations: dict[Phase, float] = {}
        self._metrics: list[str] = []
        self._has_header = False

    @ignore_broken_pipe()
    def info(self, text: str) -> None:
        tqdm.write(text)

    def warning(self, text: str) -> None:
        self.info(self._paint(_YELLOW, f"warning: {text}"))

    @ignore_broken_pipe()
    def begin(self, phase: Phase, epoch: int, done: int, total: int) -> None:
        self.end()
        metrics = self._metrics if phase == "train" else []
        self._bar = ProgressBar(phase, epoch, self._n_epochs, self._durations, metrics, initial=done, total=total)

    @ignore_broken_pipe()
    def step(self) -> None:
        if self._bar:
            self._bar.update()

    def first(self, values: Mapping[str, float]) -> None:
        self.interval(1, values)

    @ignore_broken_pipe()
    def interval(self, iteration: int, values: Mapping[str, float]) -> None:
        self._metrics = format_values(values, short=True)
        if self._bar:
            self._bar.metrics = self._metrics
            self._bar.refresh()

    def epoch(self, row: EpochRow) -> None:
        self.end()
        if not self._has_header:
            for line in HEADER:
                self.info(self._paint(_BOLD, line))
            self._has_header = True
        self.info(row.line(self._n_epochs) + (self._paint(_GREEN, BEST) if row.is_best else ""))

    @ignore_broken_pipe()
    def end(self) -> None:
        if self._bar:
            self._bar.close()
            self._bar = None

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._coloured else text


class ProgressBar(tqdm):  # type: ignore[type-arg]  # only its stub is generic
    """The tqdm bar of one phase, with the time left of the run and as many metrics as the terminal has room for."""

    def __init__(
        self,
        phase: Phase,
        epoch: int,
        n_epochs: int,
        durations: dict[Phase, float],
        metrics: list[str],
        *,
        initial: int,
        total: int,
    ) -> None:
        """``metrics`` are shown until there are newer ones.

        ``durations`` are the estimates of a whole phase, in seconds. The bar keeps that of its own phase current.
        """
        self._phase, self._iterations = phase, total
        self._later_epochs, self._durations = n_epochs - epoch, durations
        self.metrics = metrics
        self._drawn = 0
        super().__init__(
            desc=f"{phase} {epoch}/{n_epochs}",
            initial=initial,
            total=total,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {n_fmt}/{total_fmt} {bar} {remaining} left, run {run_remaining}{postfix}",
        )

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        """What ``bar_format`` is filled with. tqdm reads it whenever it draws the bar."""
        values = {**super().format_dict}
        values["run_remaining"] = self._run_remaining(values["elapsed"])
        # Without a width tqdm draws a bar of 10 characters; here it may shrink to one.
        length = len(self.format_meter(**values | {"ncols": None})) - 9
        postfix = ""
        for metric in self.metrics:
            longer = f"{postfix}, {metric}" if postfix else metric
            if values["ncols"] is None or length + len(", ") + len(longer) <= values["ncols"]:
                postfix = longer
        return values | {"postfix": postfix}

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Draw the bar. Returns what tqdm does: without it the cursor stays at the end of a line that was removed."""
        self._erase_broken()
        shown = str(self) if msg is None else msg
        self._drawn = len(shown)
        return super().display(shown, pos)

    def clear(self, nolock: bool = False) -> None:
        """Remove the bar, before another line is written."""
        self._erase_broken()
        super().clear(nolock)

    def _erase_broken(self) -> None:
        """On a terminal that became narrower, remove the lines into which it broke the bar."""
        columns = self.format_dict["ncols"]
        if columns and self._drawn > columns:
            self.fp.write(f"\x1b[{(self._drawn - 1) // columns}A\r\x1b[J")
            self.sp = self.status_printer(self.fp)  # the old one would fill a line up to the old width
            self._drawn = 0

    def _run_remaining(self, elapsed_s: float) -> str:
        """Estimate the time left of the run: each phase to come takes as long as it did so far."""
        if self.n > self.initial:
            self._durations[self._phase] = elapsed_s / (self.n - self.initial) * self._iterations
        if self._phase not in self._durations:
            return "?"
        phase_s = self._durations[self._phase]
        left = (1 - self.n / self._iterations) * phase_s + self._later_epochs * sum(self._durations.values())
        if self._phase == "train":
            left += self._durations.get("val", 0.0)
        return self.format_interval(left)


def open_console(n_epochs: int, *, quiet: bool) -> LineConsole:
    """Return the console for the place to which the output goes."""
    if quiet:
        return QuietConsole(n_epochs)
    on_terminal = sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return BarConsole(n_epochs, coloured=not os.environ.get("NO_COLOR")) if on_terminal else LineConsole(n_epochs)
