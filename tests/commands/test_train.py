"""What train.py checks and locks before any process starts."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from lib.commands.run import check_run
from lib.commands.train import locked_run_dir
from lib.config.schema import Config, DataConfig, ModelConfig, RunConfig, SyntheticConfig
from lib.data.dataset import read_mean_image
from lib.errors import ConfigError


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def none(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", none)
    with locked_run_dir(Config(run=RunConfig(weights_dir=tmp_path))):
        pass
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"warning: {tmp_path} cannot be locked ({os.strerror(number)}): let no other run")


def test_a_command_that_is_refused_leaves_the_folder_unchanged(tmp_path: Path) -> None:
    (tmp_path / "command.txt").touch()
    (tmp_path / "config.yaml").write_text("another run's")
    with locked_run_dir(Config(run=RunConfig(weights_dir=tmp_path, resume="never"))):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "command.txt", "config.yaml"]
    assert (tmp_path / "config.yaml").read_text() == "another run's"


def test_a_folder_in_use_by_another_run_is_refused(tmp_path: Path) -> None:
    config = Config(run=RunConfig(weights_dir=tmp_path))
    with (
        locked_run_dir(config),
        pytest.raises(ConfigError, match=f"another run is training in {tmp_path}; give"),
        locked_run_dir(config),
    ):
        pass


def test_images_too_small_for_the_network_are_refused_before_they_are_read(tmp_path: Path) -> None:
    data = DataConfig(source="jpeg_folder", dir=tmp_path / "nowhere", img_size=64)
    with pytest.raises(ConfigError, match="this network needs at least 67; use data.img_size 76 or more"):
        check_run(Config(data=data))


def test_a_config_that_is_not_a_runs_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("the project's own")
    refused = pytest.raises(ConfigError, match="holds a config.yaml, but no run")
    with refused, locked_run_dir(Config(run=RunConfig(weights_dir=tmp_path))):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_the_mean_that_weights_were_made_for_takes_the_place_of_the_data_sets() -> None:
    data = DataConfig(source="synthetic", img_size=32, synthetic=SyntheticConfig(train=8, val=4, classes=2))
    model = ModelConfig(name="tiny", made_for="order=bgr mean=1,2,3")
    described = check_run(Config(data=data, model=model, batch_size=4))
    mean = read_mean_image(described)
    assert mean.shape == (3, 32, 32)
    assert (mean == np.array([3, 2, 1], np.float32)[:, None, None]).all()
