import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import get_args, get_type_hints

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib.checkpoints.progress import Progress
from lib.config.schema import LoggingConfig
from lib.errors import ConfigError
from lib.evaluation.metrics import Metrics
from lib.recording.recorder import Recorder
from lib.recording.trackers import TRACKERS, check_trackers, open_trackers


def test_a_tracker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="wandb is not installed; pip install wandb, or set"):
        check_trackers(LoggingConfig(tracker="wandb", tensorboard=False))
    with pytest.raises(ConfigError, match="or set --logging.tensorboard false"):
        check_trackers(LoggingConfig())
    check_trackers(LoggingConfig(tensorboard=False))


def test_tensorboard_shows_metrics_and_hides_what_a_resumed_run_repeats(tmp_path: Path) -> None:
    for first, loss in ((0, 2.0), (3, 1.0)):
        (tracker,) = open_trackers(LoggingConfig(), tmp_path, {"run.seed": "1"}, first)
        for step in range(first + 1, first + 6):
            tracker.scalars({"train/loss": loss}, step)
        tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    seen = {event.step: event.value for event in events.Scalars("train/loss")}
    assert seen == dict.fromkeys(range(1, 4), 2.0) | dict.fromkeys(range(4, 9), 1.0)
    assert events.Tags()["tensors"] == ["configuration/text_summary"]


def test_every_tracker_of_the_configuration_is_registered() -> None:
    choices = set(get_args(get_type_hints(LoggingConfig)["tracker"]))
    assert TRACKERS.keys() == choices - {"none"} | {"tensorboard"}


class FakeMLflow(ModuleType):
    """The part of MLflow that is used. Keeps its calls."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[str, object]] = []

    def start_run(self, **options: str) -> SimpleNamespace:
        self.calls.append(("start_run", options))
        return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

    def log_params(self, settings: dict[str, str]) -> None:
        self.calls.append(("log_params", settings))


def test_a_resumed_run_keeps_its_mlflow_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    logging = LoggingConfig(tensorboard=False, tracker="mlflow")
    for step in (0, 7, 0):
        open_trackers(logging, tmp_path / ".", {"run.seed": "1"}, step)
    new = [("start_run", {"run_name": tmp_path.name}), ("log_params", {"run.seed": "1"})]
    assert mlflow.calls == [*new, ("start_run", {"run_id": "abc"}), *new]


def test_a_resumed_run_keeps_its_wandb_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str | None] = []

    def init(*, id: str | None, **_: object) -> SimpleNamespace:
        names.append(id)
        return SimpleNamespace(id="abc")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    for step in (0, 7):
        open_trackers(LoggingConfig(tensorboard=False, tracker="wandb"), tmp_path, {}, step)
    assert names == [None, "abc"]


def test_a_tracker_that_cannot_be_started_raises_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise RuntimeError("No API key.\nmore about it")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with pytest.raises(ConfigError, match=r"^wandb cannot be started \(No API key.\); fix that, or set --logging.tr"):
        open_trackers(LoggingConfig(tensorboard=False, tracker="wandb"), tmp_path, {}, 0)


class KeepsScalars:
    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, float], int]] = []

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.calls.append((dict(values), step))

    def close(self) -> None: ...


class BrokenTracker(KeepsScalars):
    def scalars(self, values: Mapping[str, float], step: int) -> None:
        super().scalars(values, step)
        raise OSError("the server is gone")


def test_a_tracker_that_fails_is_dropped_and_the_run_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trackers = BrokenTracker(), KeepsScalars()
    recorder = Recorder(
        tmp_path,
        LoggingConfig(report=False),
        "t",
        Progress(epoch=1),
        n_epochs=2,
        iterations=5,
        trackers=trackers,
        slow_data_advice=lambda: "",
        device=torch.device("cpu"),
    )
    figures = Metrics.of([2.0, 3, 1, 4])
    for _ in range(2):
        recorder.validation_subset(Progress(epoch=1, iteration=2), figures)
    recorder.close()
    values = {"val_subset/loss": 0.5, "val_subset/top1_error": 0.75, "val_subset/top5_error": 0.25}
    assert trackers[1].calls == [(values, 7)] * 2
    assert len(trackers[0].calls) == 1
    assert capsys.readouterr().err.count("BrokenTracker failed (the server is gone); nothing more is logged there") == 1


def test_the_tensorboard_command_starts() -> None:
    """A newer setuptools once broke it."""
    done = subprocess.run([sys.executable, "-m", "tensorboard.main", "--version_tb"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
