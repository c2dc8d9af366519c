"""What is recorded of a run that is resumed or damaged."""

from pathlib import Path

import pytest
import torch

from lib.checkpoints.progress import Progress
from lib.config.schema import LoggingConfig
from lib.evaluation.metrics import Metrics
from lib.recording.console import QuietConsole
from lib.recording.epoch_table import EpochRow
from lib.recording.intervals import IntervalMetrics, interval_values
from lib.recording.log import open_log
from lib.recording.recorder import Recorder


def recorder(folder: Path, progress: Progress) -> Recorder:
    return Recorder(
        folder,
        LoggingConfig(report=False, quiet=True),
        "trainer 0",
        progress,
        n_epochs=2,
        iterations=9,
        trackers=[],
        slow_data_advice=lambda: "",
        device=torch.device("cpu"),
    )


def interval(iteration: int, totals: list[float], rate: float, elapsed_s: float) -> IntervalMetrics:
    """Two workers, each of which took ``elapsed_s``."""
    values = interval_values(totals, (2 * elapsed_s, 0, 0), rate, 2)
    return IntervalMetrics(iteration=iteration, first_bad=float("inf"), totals=totals, seconds=elapsed_s, values=values)


def test_the_row_of_a_resumed_epoch_sums_all_its_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 seconds of training before the resume, a second lost with it, 2 seconds after it."""
    before = recorder(tmp_path, Progress())
    before.interval(Progress(0, 3), interval(3, [8.0, 6, 2, 24], 0.1, 3.0))
    before.validation_subset(Progress(0, 2), Metrics(1.0, 0.5, 0.1, 10))
    before.interval(Progress(0, 4), interval(4, [9.0, 8, 8, 8], 0.1, 1.0))
    before.close()
    rows: list[EpochRow] = []
    console = QuietConsole(2)
    monkeypatch.setattr(console, "epoch", rows.append)
    monkeypatch.setattr("lib.recording.recorder.open_console", lambda *_, **__: console)
    at = Progress(0, 3)
    after = recorder(tmp_path, at)
    after.begin("train", at, 9)
    at.iteration = 5
    after.interval(at, interval(5, [4.0, 2, 0, 8], 0.05, 2.0))
    at.val_record.append((0.5, 1.0))
    after.validation(at, Metrics(1.0, 0.5, 0.1, 10))
    after.begin("train", Progress(1, 0), 9)
    after.interval(Progress(1, 5), interval(5, [1.0, 1, 1, 1], 0.05, 2.0))
    after.validation(at, Metrics(1.0, 0.5, 0.1, 10))
    after.close()
    whole, next_one = rows
    assert whole.training == Metrics(12 / 32, 8 / 32, 2 / 32, 32)
    assert (whole.seconds, whole.images_per_s, whole.learning_rate) == (5.0, 32 / 5, 0.05)
    assert next_one.training.images == 1


def test_damaged_lines_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "tra\n')
    recorder(tmp_path, Progress()).close()
    warning = "warning: lines left out of metrics.jsonl as damaged: 1; the figures in them are lost\n"
    assert capsys.readouterr().err == warning


def test_close_leaves_no_file_open(tmp_path: Path) -> None:
    """A training that rolls back opens another recorder each time."""
    recorder(tmp_path, Progress()).close()
    opened = {path.resolve() for path in Path("/proc/self/fd").iterdir()}
    assert tmp_path / "metrics.jsonl" not in opened


def test_no_name_of_a_file_controls_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = recorder(tmp_path, Progress())
    recording.warning("a \x1b]0;title\x07")
    recording.close()
    assert capsys.readouterr().err == "warning: a \\x1b]0;title\\x07\n"


def test_the_log_takes_names_that_are_no_text(tmp_path: Path) -> None:
    open_log(tmp_path, "a role of this test alone").info("b \udcff.jpg")
    assert (tmp_path / "train.log").read_text().endswith("b \\udcff.jpg\n")
