"""Trainings that Python starts: from any thread, several times, stopped and continued, and the process as before."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lib as tandem
from lib.api import training
from tests.support.data_files import write_jpeg_folder

SETTINGS: dict[str, Any] = {
    "model.name": "tiny",
    "data": {"dir": "photos", "img_size": 32},
    "batch_size": 8,
    "devices": ["cpu"],
    "compute.threads": 1,
    "logging": {"report": False, "tensorboard": False, "print_freq": 1},
}


def test_the_stop_button_saves_a_checkpoint_and_ends_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jpeg_folder(tmp_path / "photos")
    settings = SETTINGS | {"run.n_epochs": 300}
    before = signal.getsignal(signal.SIGINT)
    printed = print

    def press_stop(*values: Any, **options: Any) -> None:
        printed(*values, **options)
        if "epoch 2/300" in str(values[0]):
            monkeypatch.setattr(training, "print", printed)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training, "print", press_stop, raising=False)
    with pytest.raises(KeyboardInterrupt):
        tandem.train(settings)
    assert signal.getsignal(signal.SIGINT) is before
    run = training.Run(tmp_path / "models")
    epochs = len(run.errors)
    assert 1 <= epochs < 300
    assert "stopping after this iteration" in capsys.readouterr().err
    assert tandem.open(run, device="cpu").classes == ("n00", "n01", "n02", "n03")
    latest = (tmp_path / "models/checkpoints/latest").read_text()
    assert latest >= f"epoch{epochs:03d}", "which the same call continues from, as run.resume is auto"
    assert run.best_epoch == int(np.argmin(run.errors)) + 1
    assert len(run.losses) == epochs


def test_errors_of_a_training_are_exceptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tandem.UserError, match="run.n_epochs is 0; it must be at least 1"):
        tandem.train(SETTINGS | {"run.n_epochs": 0})
    with pytest.raises(tandem.UserError, match="photos"):
        tandem.train(SETTINGS)
    assert not (tmp_path / "models").exists()
