import fcntl
import io
import os
import re
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from lib.evaluation.metrics import Metrics
from lib.recording.console import BarConsole, LineConsole, QuietConsole, open_console
from lib.recording.epoch_table import EpochRow
from lib.types import Phase

METRICS = Metrics(1.5, 0.25, 0.125, 8)
VALUES = {
    "loss": 1.5,
    "top1_error": 0.25,
    "top5_error": 0.125,
    "images": 8,
    "learning_rate": 0.01,
    "images_per_s": 1234.5,
    "wait": 0.02,
    "compute": 0.9,
    "exchange": 0.08,
}


class Terminal(io.StringIO):
    """Keeps what is written. Its width is that of a pseudo-terminal."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.resize(181)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True


@pytest.fixture
def descriptor() -> Iterator[int]:
    ends = os.openpty()
    yield ends[1]
    for end in ends:
        os.close(end)


def put_on_terminal(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> Terminal:
    """Replace stdout and stderr by a terminal. A fixture would be too early: pytest sets its own stdout later."""
    terminal = Terminal(descriptor)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def row(epoch: int, *, is_best: bool) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        training=METRICS,
        validation=METRICS,
        learning_rate=0.01,
        images_per_s=1234.5,
        seconds=75,
        is_best=is_best,
    )


def drive(console: LineConsole) -> None:
    console.begin("train", 1, 0, 2)
    console.step()
    console.interval(1, VALUES)
    console.step()
    console.begin("val", 1, 0, 1)
    console.step()
    console.epoch(row(1, is_best=True))
    console.epoch(row(2, is_best=False))
    console.end()


def test_a_bar_for_each_phase_and_a_row_for_each_epoch(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    terminal = put_on_terminal(monkeypatch, descriptor)
    console = open_console(3, quiet=False)
    assert isinstance(console, BarConsole)
    drive(console)
    text = terminal.getvalue()
    live = [line for line in text.split("\r") if "train 1/3" in line][-1]
    for part in (
        "train 1/3 1/2 #",
        " left, run 0",
        "loss 1.500",
        "top-1 err 25.0 %",
        "top-5 err 12.5 %",
        "rate 0.01",
        "1,234 images/s",
        "wait 2 %, compute 90 %, exchange 8 %",
    ):
        assert part in live
    assert "val 1/3" in text
    rows = [re.sub(r"\033\[\w*", "", line).split() for line in re.split(r"[\r\n]+", text) if "01:15" in line]
    assert [cells[0] for cells in rows] == ["1/3", "2/3"]
    assert (rows[0][-1], rows[1][-1]) == ("best", "01:15")
    assert text.count("img/s    time") == 1
    assert re.search(r"\r +\r\033\[1m        - training", text)  # a bar is removed, and the cursor is back


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (50, "train 3/90 17/5004 04:09 left, run 6:06:56"),
        (60, "train 3/90 17/5004 04:09 left, run 6:06:56, loss 2.312"),
        (80, "train 3/90 17/5004 04:09 left, run 6:06:56, loss 2.312, top-1 err 89.1 %"),
        (90, "train 3/90 17/5004 04:09 left, run 6:06:56, loss 2.312, top-1 err 89.1 %, acc 10.9 %"),
    ],
)
def test_a_narrow_terminal_leaves_out_whole_metrics(
    monkeypatch: pytest.MonkeyPatch, descriptor: int, columns: int, line: str
) -> None:
    """An epoch of ImageNet, 50 ms an iteration."""
    terminal = put_on_terminal(monkeypatch, descriptor)
    terminal.resize(columns)
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    console = BarConsole(90, coloured=False)
    console.begin("train", 3, 16, 5004)
    now[0] = 0.05
    console.step()
    console.interval(17, VALUES | {"loss": 2.312, "top1_error": 0.891, "top5_error": 0.65})
    console.end()
    lines = terminal.getvalue().split("\r")
    assert line in [re.sub("[# ]+", " ", text).strip() for text in lines]
    assert max(map(len, lines)) < columns


def test_the_time_left_of_the_run_counts_phases_and_epochs_to_come(
    monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    """Training takes 10 iterations of 2 s, validation 5 of 1 s."""
    terminal = put_on_terminal(monkeypatch, descriptor)
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    console = BarConsole(3, coloured=False)
    phases: list[tuple[Phase, int, int, float]] = [("train", 1, 10, 2.0), ("val", 1, 5, 1.0), ("train", 2, 10, 2.0)]
    for phase, epoch, total, seconds in phases:
        console.begin(phase, epoch, 0, total)
        for _ in range(total):
            now[0] += seconds
            console.step()
    text = terminal.getvalue().replace("\r", "\n")
    left = dict(re.findall(r"(\w+ \d/3 \d+)/.* left, run (\d\d:\d\d)", text))
    assert left["train 1/3 1"] == "00:58"  # 18 s, and two epochs of 20 s
    assert left["val 1/3 1"] == "00:54"  # 4 s, and two epochs of 25 s
    assert left["train 2/3 0"] == "00:50"  # known from the epoch before
    assert left["train 2/3 1"] == "00:48"  # 18 s, its validation of 5 s, and an epoch of 25 s


def test_the_table_fits_80_columns_with_its_mark(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    terminal = put_on_terminal(monkeypatch, descriptor)
    console = BarConsole(100, coloured=False)
    worst = Metrics(85689.251, 1.0, 0.9421, 8)
    numbers = {"learning_rate": 1.2345678e-5, "images_per_s": 123456.7, "seconds": 35999.0}
    console.epoch(EpochRow(epoch=100, training=worst, validation=worst, **numbers, is_best=True))
    *_, names, line = terminal.getvalue().splitlines()
    assert line.split() == [
        "100/100",
        *("85689.3", "100.00") * 2,
        "0.0",
        "94.2",
        "1.23e-05",
        "123,457",
        "9:59:59",
        "best",
    ]
    assert all(len(text) < 80 for text in terminal.getvalue().splitlines())
    assert names.split().count("err.%") == 2
    assert names.split().count("acc.%") == 1


def test_colours_are_off_with_no_color(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    terminal = put_on_terminal(monkeypatch, descriptor)
    drive(BarConsole(3, coloured=True))
    assert "\033[32m" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    console = open_console(3, quiet=False)
    assert isinstance(console, BarConsole)
    drive(console)
    console.warning("slow")
    assert not re.search(r"\033\[\d*m", terminal.getvalue())


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = open_console(3, quiet=False)
    assert isinstance(console, LineConsole)
    console.begin("train", 2, 0, 9)
    console.step()
    console.interval(1, VALUES)
    console.epoch(row(2, is_best=True))
    out = capsys.readouterr().out
    assert out == (
        "epoch 2/3  iteration 1/9  loss 1.5000  top-1 error 25.00 % (accuracy 75.00 %)  top-5 error 12.50 %  "
        "rate 0.01  1,234 images/s  wait 2 %  compute 90 %  exchange 8 %\n"
        "epoch 2: validation loss 1.5000  top-1 error 25.00 % (accuracy 75.00 %)  top-5 error 12.50 %\n"
    )


def test_quiet_shows_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    console = open_console(3, quiet=True)
    assert isinstance(console, QuietConsole)
    console.info("hello")
    console.epoch(row(1, is_best=True))
    console.warning("slow")
    assert capsys.readouterr() == ("", "warning: slow\n")


def test_the_first_iteration_shows_its_loss_and_a_new_epoch_the_last_one(
    monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    terminal = put_on_terminal(monkeypatch, descriptor)
    console = BarConsole(3, coloured=False)
    console.begin("train", 1, 0, 1000)
    console.first({"loss": 6.9, "top1_error": 1.0, "top5_error": 1.0})
    assert "loss 6.900" in terminal.getvalue().split("\r")[-1]
    console.interval(20, VALUES)
    console.begin("val", 1, 0, 10)
    assert "loss" not in terminal.getvalue().split("\r")[-1]
    console.begin("train", 2, 0, 1000)
    assert "loss 1.500" in terminal.getvalue().split("\r")[-1]
    console.end()


def test_a_terminal_that_became_narrower_shows_one_line(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    terminal = put_on_terminal(monkeypatch, descriptor)
    console = BarConsole(3, coloured=False)
    console.begin("train", 1, 0, 1000)
    acts: list[Callable[[], None]] = [partial(console.interval, 40, VALUES), partial(console.info, "a line")]
    for act in acts:
        terminal.resize(181)
        console.interval(20, VALUES)  # a line of 180 characters
        terminal.resize(80)  # which is now broken into three
        drawn = len(terminal.getvalue())
        act()
        written = terminal.getvalue()[drawn:]
        assert written.startswith("\x1b[2A\r\x1b[J\r")
        assert max(map(len, re.split(r"[\r\n]", written))) < 80
        assert written.count("\x1b") == 2
    console.end()
