import io
import re
import sys

import pytest

from lib.evaluation.metrics import Metrics
from lib.recording.console import Bar, Lines, Quiet, console
from lib.recording.epoch_table import EpochRow

FIGURES = Metrics(1.5, 0.25, 0.125, 8)
MORE = {"learning_rate": 0.01, "images_per_s": 1234.5, "wait": 0.02, "compute": 0.9, "exchange": 0.08}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def put_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From inside the test: before it begins pytest puts its own stdout in place."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "180")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return screen


def row(epoch: int, *, is_best: bool) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        training=FIGURES,
        validation=FIGURES,
        learning_rate=0.01,
        images_per_s=1234.5,
        seconds=75,
        is_best=is_best,
    )


def drive(shown: Bar) -> None:
    shown.phase("training", 1, 0, 2)
    shown.iteration()
    shown.training(1, FIGURES, MORE)
    shown.iteration()
    shown.phase("validation", 1, 0, 1)
    shown.iteration()
    shown.epoch(row(1, is_best=True))
    shown.epoch(row(2, is_best=False))
    shown.close()


def test_a_live_line_for_each_phase_and_a_row_for_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    shown = console(3, quiet=False)
    assert isinstance(shown, Bar)
    drive(shown)
    text = terminal.getvalue()
    live = [line for line in text.split("\r") if "training 1/3" in line][-1]
    for part in (
        "left 0:00",
        "run ",
        "loss 1.500",
        "top-1 err 25.0 %",
        "top-5 err 12.5 %",
        "rate 0.01",
        "1,234 images/s",
    ):
        assert part in live
    assert "wait 2 compute 90 exchange 8 %" in live
    assert "training 1/3 ######" in live
    assert "validation 1/3" in text
    rows = [re.sub(r"\033\[\w*", "", line).split() for line in re.split(r"[\r\n]+", text) if "1:15" in line]
    assert [cells[0] for cells in rows] == ["1/3", "2/3"]
    assert (rows[0][-1], rows[1][-1]) == ("best", "1:15")
    assert text.count("images/s    time") == 1


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (50, "training 3/90 17/5004, loss 2.31  left 4:09"),
        (80, "training 3/90 17/5004, loss 2.31  top-1/5 err 89/65 %  left 4:09  run 6:06:57"),
        (
            120,
            "training 3/90 17/5004, loss 2.31  top-1/5 err 89/65 %  left 4:09  run 6:06:57  12,345/s"
            "  wait 2 comp 90 exch 8 %",
        ),
    ],
)
def test_a_narrow_terminal_leaves_out_whole_fields(monkeypatch: pytest.MonkeyPatch, columns: int, shown: str) -> None:
    """An epoch of ImageNet, 50 ms an iteration."""
    terminal = put_on_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    now = iter([0.0, 0.05])
    monkeypatch.setattr("lib.recording.console.time.monotonic", lambda: next(now))
    bar = Bar(90, coloured=False)
    bar.phase("training", 3, 16, 5004)
    bar.iteration()
    bar.training(17, Metrics(2.312, 0.891, 0.65, 8), MORE | {"images_per_s": 12345})
    bar.close()
    lines = [line.rstrip() for line in terminal.getvalue().split("\r")]
    assert shown in lines
    assert max(map(len, lines)) < columns


def test_the_table_fits_80_columns_with_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    bar = Bar(100, coloured=False)
    worst = Metrics(12.3456, 1.0, 0.9421, 8)
    numbers = {"learning_rate": 1.2345678e-5, "images_per_s": 123456.7, "seconds": 35999.0}
    bar.epoch(EpochRow(epoch=100, training=worst, validation=worst, **numbers, is_best=True))
    *_, names, shown = terminal.getvalue().splitlines()
    assert shown.split() == ["100/100", *("12.3456", "100.00") * 2, "94.21", "1.23e-05", "123,457", "9:59:59", "best"]
    assert all(len(line) < 80 for line in terminal.getvalue().splitlines())
    assert names.split().count("error") == 2


def test_colours_are_off_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_on_terminal(monkeypatch)
    drive(Bar(3, coloured=True))
    assert "\033[32m" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    shown = console(3, quiet=False)
    assert isinstance(shown, Bar)
    drive(shown)
    shown.warn("slow")
    assert not re.search(r"\033\[\d*m", terminal.getvalue())


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    shown = console(3, quiet=False)
    assert isinstance(shown, Lines)
    shown.phase("training", 2, 0, 9)
    shown.iteration()
    shown.training(1, FIGURES, MORE)
    shown.epoch(row(2, is_best=True))
    out = capsys.readouterr().out
    assert out == (
        "epoch 2/3  iteration 1/9  loss 1.5000  top-1 error 25.00 %  top-5 error 12.50 %  rate 0.01  1,234 images/s  "
        "wait 2 %  compute 90 %  exchange 8 %\n"
        "epoch 2: validation loss 1.5000  top-1 error 25.00 %  top-5 error 12.50 %\n"
    )


def test_quiet_shows_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    shown = console(3, quiet=True)
    assert isinstance(shown, Quiet)
    shown.say("hello")
    shown.epoch(row(1, is_best=True))
    shown.warn("slow")
    assert capsys.readouterr() == ("", "warning: slow\n")
