"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Mapping
from typing import Never, Protocol

from tqdm import tqdm

from lib.metrics import Figures


class Console(Protocol):
    """Shows how a run goes."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def epoch(self, epoch: int, n_epochs: int, iteration: int, iterations: int) -> None:
        """Epoch ``epoch`` (from 1) begins, ``iteration`` of its ``iterations`` already done."""

    def iteration(self) -> None:
        """One more is done."""

    def training(self, iteration: int, details: str) -> None:
        """Figures as of ``iteration``."""

    def close(self) -> None:
        """The epoch's training is over."""


def console() -> Console:
    """The console that suits where stderr goes."""
    return Bar() if sys.stderr.isatty() else Lines()


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


class Lines:
    """``Console`` where there is no terminal: a line for each ``logging.print_freq`` iterations."""

    def __init__(self) -> None:
        self._where, self._iterations = "", 0

    def say(self, text: str) -> None:
        print(text, flush=True)

    def epoch(self, epoch: int, n_epochs: int, iteration: int, iterations: int) -> None:
        self._where, self._iterations = f"epoch {epoch}/{n_epochs}", iterations

    def iteration(self) -> None:
        pass

    def training(self, iteration: int, details: str) -> None:
        self.say(f"{self._where}  iteration {iteration}/{self._iterations}  {details}")

    def close(self) -> None:
        pass


class Bar:
    """``Console`` on a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Never] = tqdm(disable=True)

    def say(self, text: str) -> None:
        tqdm.write(text)

    def epoch(self, epoch: int, n_epochs: int, iteration: int, iterations: int) -> None:
        self._bar = tqdm(
            desc=f"epoch {epoch}/{n_epochs}",
            initial=iteration,
            total=iterations,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {bar:20} {n}/{total} {elapsed}<{remaining}{postfix}",
        )

    def iteration(self) -> None:
        self._bar.update()

    def training(self, iteration: int, details: str) -> None:
        self._bar.set_postfix_str(details)

    def close(self) -> None:
        self._bar.close()
