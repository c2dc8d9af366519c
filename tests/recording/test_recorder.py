"""What is kept and shown of a run that goes on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lib.checkpoints.progress import Progress
from lib.config.schema import Config, LoggingConfig, RunConfig
from lib.evaluation.metrics import Metrics
from lib.recording.epoch_table import EpochRow
from lib.recording.recorder import Recorder


def recorder(folder: Path, progress: Progress) -> Recorder:
    config = Config(run=RunConfig(weights_dir=folder), logging=LoggingConfig(report=False, quiet=True))
    return Recorder(config, "trainer 0", progress, iterations=9, trackers=[], device=torch.device("cpu"))


def test_the_row_of_a_resumed_epoch_is_of_all_its_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers; 3 seconds of training before the resume, a second lost with it, 2 seconds after it."""
    before = recorder(tmp_path, Progress())
    before.training(Progress(0, 3), [8.0, 6, 2, 24], 0.1, (6.0, 0, 0), 2)
    before.validation_subset(Progress(0, 2), Metrics(1.0, 0.5, 0.1, 10))
    before.training(Progress(0, 4), [9.0, 8, 8, 8], 0.1, (2.0, 0, 0), 2)
    before.close()
    rows: list[EpochRow] = []
    shown = SimpleNamespace(phase=lambda *_: None, training=lambda *_: None, epoch=rows.append, close=lambda: None)
    monkeypatch.setattr("lib.recording.recorder.console", lambda *_, **__: shown)
    at = Progress(0, 3)
    after = recorder(tmp_path, at)
    after.epoch(at, 9)
    at.iteration = 5
    after.training(at, [4.0, 2, 0, 8], 0.05, (4.0, 0, 0), 2)
    at.val_record.append((0.5, 1.0))
    after.validation(at, Metrics(1.0, 0.5, 0.1, 10))
    after.epoch(Progress(1, 0), 9)
    after.training(Progress(1, 5), [1.0, 1, 1, 1], 0.05, (4.0, 0, 0), 2)
    after.validation(at, Metrics(1.0, 0.5, 0.1, 10))
    after.close()
    whole, next_one = rows
    assert whole.training == Metrics(12 / 32, 8 / 32, 2 / 32, 32)
    assert (whole.seconds, whole.images_per_s, whole.learning_rate) == (5.0, 32 / 5, 0.05)
    assert next_one.training.images == 1


def test_a_damaged_record_is_told_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "tra\n')
    recorder(tmp_path, Progress()).close()
    told = "warning: lines left out of metrics.jsonl as damaged: 1; the figures in them are lost\n"
    assert capsys.readouterr().err == told


def test_it_leaves_no_file_open(tmp_path: Path) -> None:
    """A training that goes back to a checkpoint has another recorder each time."""
    recorder(tmp_path, Progress()).close()
    opened = {path.resolve() for path in Path("/proc/self/fd").iterdir()}
    assert tmp_path / "metrics.jsonl" not in opened
