import io
import time

import pytest

from lib.packing.progress import PackingProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_without_a_terminal_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([100.0, 110.0, 120.0, 140.0, 140.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with PackingProgress("train", total=100_000, done=1000, every_s=15) as progress:
        progress.add(1000)  # 10 s: too soon for a line
        progress.add(1000)
    assert capsys.readouterr().err.splitlines() == [
        "train: 3,000 of 100,000 images, 50 images/s, 32 min left",
        "train: 3,000 of 100,000 images, 50 images/s, 32 min left",
    ]


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with PackingProgress("val", total=10) as progress:
        progress.add(10)
    assert "val: 100%" in terminal.getvalue()
    assert "images/s" in terminal.getvalue()
