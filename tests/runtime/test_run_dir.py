"""How a run claims its folder."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.config.schema import Config, OptimizerConfig, RunConfig
from lib.errors import ConfigError
from lib.recording.settings_log import Settings
from lib.recording.trackers import RunIdFile
from lib.runtime.run_dir import claim_run_dir, refuse_changed_settings, refuse_foreign_config
from tests.support.run_files import line

NEW = Settings.of(Config())


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_an_older_run_is_moved_aside_with_its_tracker_ids(tmp_path: Path, tracker: str) -> None:
    RunIdFile(tmp_path, tracker, 0).save("run 7")
    (tmp_path / "config.yaml").write_text("the older one's")
    (tmp_path / "old_1").mkdir()
    run = RunConfig(weights_dir=tmp_path, resume="never")
    notes = claim_run_dir(run, NEW, "run: {}\n", "cd / && python train.py", anew=True)
    assert notes == [f"moved:    files of an older run, to {tmp_path / 'old_2'}"]
    files = ["command.txt", "config.yaml", "old_1", "old_2", "settings.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert (tmp_path / "old_2/config.yaml").read_text() == "the older one's"
    assert RunIdFile(tmp_path / "old_2", tracker, 1).run_id == "run 7"
    assert (tmp_path / "command.txt").read_text() == "cd / && python train.py\n"


def test_a_resumed_run_keeps_its_metrics(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(line("val", 4))
    now = Settings.of(Config(), 1)
    assert not claim_run_dir(RunConfig(weights_dir=tmp_path), now, "model: {name: nin_bn}\n", "", anew=False)
    assert (tmp_path / "metrics.jsonl").read_text() == line("val", 4)
    assert "name: nin_bn" in (tmp_path / "config.yaml").read_text()


def test_validated_epochs_whose_checkpoints_are_gone_are_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(line("val", 4))
    claim_run_dir(RunConfig(weights_dir=tmp_path), NEW, "", "", anew=True)
    assert (tmp_path / "old_1/metrics.jsonl").read_text() == line("val", 4)


@pytest.mark.parametrize("other", ["", "config.yaml.bak"])
def test_a_config_that_no_run_wrote_is_not_replaced(tmp_path: Path, other: str) -> None:
    (tmp_path / "config.yaml").write_text("the project's own")
    if other:
        (tmp_path / other).touch()
    with pytest.raises(ConfigError, match="holds a config.yaml, but no run; .* --run.weights_dir models"):
        refuse_foreign_config(tmp_path)
    (tmp_path / "command.txt").touch()
    refuse_foreign_config(tmp_path)


def with_rate(folder: Path, rate: float) -> Config:
    return Config(run=RunConfig(weights_dir=folder, n_epochs=2), optimizer=OptimizerConfig(learning_rate=rate))


def test_changed_settings_are_listed_and_kept(tmp_path: Path) -> None:
    first, second = with_rate(tmp_path, 0.01), with_rate(tmp_path, 0.1)
    claim_run_dir(first.run, Settings.of(first), "", "", anew=True)
    change = "changed since epoch 2: optimizer.learning_rate 0.01 -> 0.1"
    assert claim_run_dir(first.run, Settings.of(second, 2), "run: {}\n", "", anew=False) == [change]
    assert (tmp_path / "config.yaml").read_text() == f"# {change}\nrun: {{}}\n"
    assert claim_run_dir(first.run, Settings.of(second, 3, 5), "", "", anew=False) == [change]
    within = "changed since iteration 7 of epoch 4: optimizer.learning_rate 0.1 -> 0.01"
    assert claim_run_dir(first.run, Settings.of(first, 3, 7), "", "", anew=False) == [change, within]
    # Resumed from before the change: what was trained with it is undone.
    assert claim_run_dir(first.run, Settings.of(first, 2), "", "", anew=False) == []


def test_a_finished_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    config = with_rate(tmp_path, 0.01)
    claim_run_dir(config.run, Settings.of(config), "", "", anew=True)
    refuse_changed_settings(tmp_path, Settings.of(replace(config, run=replace(config.run, n_epochs=1, keep=5)), 2))
    with pytest.raises(ConfigError, match=r"finished, and it had other settings: optimizer.learning_rate 0.01 -> 0.1;"):
        refuse_changed_settings(tmp_path, Settings.of(with_rate(tmp_path, 0.1), 2))


def test_settings_of_a_run_without_a_record_are_those_of_its_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("optimizer: {learning_rate: 0.5}\nrun: {n_epochs: 2}\n")
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate 0.5 -> 0.1;"):
        refuse_changed_settings(tmp_path, Settings.of(with_rate(tmp_path, 0.1), 2))


def test_an_older_run_is_moved_aside_where_folders_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on overlayfs, for the folders of an image's lower layer."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/latest").write_text("a.pt")

    def rename(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "rename", rename)
    claim_run_dir(RunConfig(weights_dir=tmp_path, resume="never"), NEW, "run: {}\n", "python train.py", anew=True)
    assert (tmp_path / "old_1/checkpoints/latest").read_text() == "a.pt"
    assert not (tmp_path / "checkpoints").exists()


def test_a_mount_point_of_an_older_run_stays_and_its_content_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a volume that a container has at run.weights_dir/checkpoints."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/latest").write_text("a.pt")
    remove = os.rmdir

    def busy(path: str, *more: object, **options: Any) -> None:
        if Path(path).name == "checkpoints":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        remove(path, *more, **options)

    monkeypatch.setattr(os, "rename", busy)
    monkeypatch.setattr(os, "rmdir", busy)
    claim_run_dir(RunConfig(weights_dir=tmp_path, resume="never"), NEW, "run: {}\n", "python train.py", anew=True)
    assert (tmp_path / "old_1/checkpoints/latest").read_text() == "a.pt"
    assert list((tmp_path / "checkpoints").iterdir()) == []
