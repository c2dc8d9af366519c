"""Tests of checkpoints and of the folder that holds them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lib.checkpoints import folder as folder_module
from lib.checkpoints.checkpoint import Identity, check_identity, load
from lib.checkpoints.folder import CheckpointFolder
from lib.errors import CheckpointError
from lib.system.atomic_write import atomic_write
from tests.support.checkpoints import IDENTITY, checkpoint


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_saved_checkpoint_loads_and_holds_plain_tensors(tmp_path: Path) -> None:
    path = CheckpointFolder(tmp_path, keep=2).save(checkpoint(3, 17), is_best=False)
    assert path.name == "epoch003_iter00017.pt"
    again = load(path)
    assert again.identity == IDENTITY
    assert (again.preparation.resize, again.preparation.classes[1]) == ("crop", ("n02", "dog"))
    assert torch.equal(again.preparation.mean, torch.arange(12.0).view(3, 2, 2))
    assert (again.epoch, again.iteration, again.seed) == (3, 17, 1)
    assert torch.equal(again.parameters["w"], torch.full((3,), 3.0))
    plain = torch.load(path, weights_only=True)
    assert plain["identity"]["model"] == "tiny"


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    for epoch in range(1, 7):
        folder.save(checkpoint(epoch), is_best=epoch == 2)
    cached = [f"epoch00{e}_iter00000.pt" for e in (2, 5, 6)]
    assert names(tmp_path) == ["best", *cached, "latest"]
    assert folder.latest() == tmp_path / cached[-1]
    assert folder.best() == tmp_path / cached[0]


def test_a_missing_best_does_not_stop_the_next_save(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(checkpoint(1), is_best=True).unlink()
    with pytest.raises(CheckpointError, match=r"best points at epoch001_iter00000.pt, .* another checkpoint with --ch"):
        folder.best()
    assert folder.save(checkpoint(2), is_best=False) == folder.latest()
    folder.save(checkpoint(3), is_best=True)
    assert names(tmp_path) == ["best", "epoch003_iter00000.pt", "latest"]


def test_best_moves_before_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power fails before the last pointer of a save is renamed into place."""
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(checkpoint(1), is_best=True)

    def cut(path: Path, *more: Any) -> None:
        if path.name == "latest":
            raise KeyboardInterrupt
        atomic_write(path, *more)

    monkeypatch.setattr(folder_module, "atomic_write", cut)
    with pytest.raises(KeyboardInterrupt):
        folder.save(checkpoint(2), is_best=True)
    assert (folder.best(), folder.latest()) == (tmp_path / checkpoint(2).name, tmp_path / checkpoint(1).name)


def test_a_new_folder_has_no_latest(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path / "new", keep=1).latest() is None


def test_a_full_disk_leaves_the_previous_checkpoint_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(checkpoint(1), is_best=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        folder.save(checkpoint(2), is_best=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_free_space_is_checked_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    folder = CheckpointFolder(tmp_path / "run/checkpoints", keep=2)
    monkeypatch.setattr("lib.checkpoints.folder.free_bytes", lambda _: 3_500_000)
    folder.require_space(1_000_000)
    assert folder.space_warning(500_000) == ""
    assert folder.space_warning(1_000_000) == (
        f"{tmp_path}/run/checkpoints has room for 3 more checkpoints of 0.001 GB, but may need 4 (run.keep 2): "
        "make room"
    )
    with pytest.raises(CheckpointError, match="has room for 0 more checkpoints of 0.004 GB; make room, or use another"):
        folder.require_space(4_000_000)
    assert not list((tmp_path / "run").iterdir()), "a refused run must leave no file"
    folder.save(checkpoint(1), is_best=True)
    folder.require_space(1_000_000)
    assert folder.space_warning(1_000_000) == ""
    assert names(tmp_path / "run/checkpoints") == ["best", "epoch001_iter00000.pt", "latest"]


def test_a_read_only_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("lib.checkpoints.folder.atomic_write", refused)
    with pytest.raises(CheckpointError, match=f"cannot write to {tmp_path}: Read-only file system; make it writable"):
        CheckpointFolder(tmp_path, keep=1).require_space(1)


@pytest.mark.parametrize("n_bytes", [0, 1, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = CheckpointFolder(tmp_path, keep=1).save(checkpoint(), is_best=False)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(CheckpointError, match=str(path)):
        load(path)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"epoch": "x"}, {"epoch": -1}, {"epoch": 2}, {"iteration": -1}, {"parameters": 5}, {"momentum": [1]}),
        *({"val_record": "no"}, {"parameters": {"w": 1.0}}, {"identity": {}}, {"seed": True}),
    ],
    ids=str,
)
def test_an_intact_file_with_a_wrong_value_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = CheckpointFolder(tmp_path, keep=1).save(checkpoint(1), is_best=False)
    torch.save(torch.load(path, weights_only=True) | wrong, path)
    with pytest.raises(CheckpointError, match="a value has the wrong type|are inconsistent"):
        load(path)


def test_other_files_and_newer_formats_are_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="other.pt is not a checkpoint of this program"):
        load(tmp_path / "other.pt")
    torch.save({"format": 5}, tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="newer.pt has format 5, but .* reads 2, 3, 4 only"):
        load(tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load(tmp_path / "nothing.pt")


def test_a_pointer_to_a_missing_file_is_an_error_not_a_new_start(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(checkpoint(), is_best=False).unlink()
    with pytest.raises(CheckpointError, match="which is missing"):
        folder.latest()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(IDENTITY, model="alexnet"), "another network: tiny, here it is alexnet"),
        (replace(IDENTITY, n_classes=10), "another number of classes: 2, here it is 10"),
        (replace(IDENTITY, img_size=64), "another image size: 2, here it is 64"),
        (replace(IDENTITY, data_fingerprint="def"), "another data set (.*): abc, here it is def"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(other: Identity, message: str) -> None:
    check_identity(Path("c.pt"), IDENTITY, IDENTITY)
    with pytest.raises(CheckpointError, match="; do as it says$"):
        check_identity(Path("c.pt"), IDENTITY, other, "do as it says")
    with pytest.raises(CheckpointError, match=message):
        check_identity(Path("c.pt"), IDENTITY, other)
