"""The folder of a run's checkpoints, and the pointers in it."""

from pathlib import Path

import pytest

from lib.checkpoints.folder import CheckpointFolder
from lib.errors import CheckpointError


def test_a_first_checkpoint_whose_pointer_is_not_written_yet_is_the_latest(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    assert folder.latest() is None
    (tmp_path / "epoch001_iter00000.pt").touch()
    assert folder.latest() == tmp_path / "epoch001_iter00000.pt"


def test_checkpoints_without_a_pointer_are_no_new_training(tmp_path: Path) -> None:
    for number in (4, 5):
        (tmp_path / f"epoch00{number}_iter00000.pt").touch()
    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints, but no file latest .*epoch005_iter00000.pt\)"):
        CheckpointFolder(tmp_path, keep=1).latest()
