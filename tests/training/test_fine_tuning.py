"""Training starts from the parameters of another training; those that do not fit are named."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation
from lib.checkpoints.folder import CheckpointFolder
from lib.errors import WeightsError
from lib.formats.registry import load_weights, loadable_tensors
from lib.models.googlenet import GoogLeNet
from lib.models.tiny import Tiny
from lib.training.fine_tuning import start_from

FOLDERS = ("n0", "n1", "n2", "n3")
HEAD = ["classifier.2.weight", "classifier.2.bias"]


def saved(folder: Path, model: nn.Module, epoch: int = 1, n_classes: int = 4) -> Path:
    return CheckpointFolder(folder, keep=1).save(
        Checkpoint(
            identity=Identity(model="any", n_classes=n_classes, img_size=32, data_fingerprint=""),
            preparation=Preparation(
                resize="squash",
                mean=torch.zeros(3, 32, 32),
                classes=tuple((f"n{number}", "a name") for number in range(n_classes)),
            ),
            seed=1,
            total_batch_size=16,
            epoch=epoch,
            iteration=0,
            val_record=torch.zeros(epoch, 2, dtype=torch.float64),
            parameters=dict(model.state_dict()),
            momentum={},
        ),
        is_best=False,
    )


def differing(a: nn.Module, b: nn.Module) -> set[str]:
    theirs = b.state_dict()
    return {name for name, value in loadable_tensors(a).items() if not torch.equal(value, theirs[name])}


def test_the_same_network_gets_every_parameter(tmp_path: Path) -> None:
    theirs, ours = Tiny(4, 28), Tiny(4, 28)
    path = saved(tmp_path, theirs)
    assert start_from(ours, path) == f"{path}, all of them"
    assert not differing(ours, theirs)
    fresh = Tiny(4, 28)
    load_weights(fresh, path)
    assert not differing(fresh, theirs)
    with pytest.raises(WeightsError, match="classifier.2.weight has shape"):
        load_weights(Tiny(3, 28), path)


def test_a_run_folder_stands_for_its_best_checkpoint(tmp_path: Path) -> None:
    theirs, ours = Tiny(4, 28), Tiny(4, 28)
    best = saved(tmp_path / "run/checkpoints", theirs)
    (best.parent / "best").write_text(best.name)
    saved(tmp_path / "run/checkpoints", Tiny(4, 28), epoch=2)
    start_from(ours, tmp_path / "run")
    assert not differing(ours, theirs)


def test_other_classes_get_new_last_layers_and_a_warning(tmp_path: Path) -> None:
    theirs, ours = GoogLeNet(5, 47, norm=True), GoogLeNet(3, 47, norm=True)
    path = saved(tmp_path, theirs)
    heads = ["head.2.weight", "head.2.bias", "auxiliary.7.weight", "auxiliary.7.bias"]
    before = {name: ours.state_dict()[name].clone() for name in heads}
    message = start_from(ours, path)
    assert message == f"{path}, all but {', '.join(heads)}, which are new: 3 classes here, 5 there"
    assert all(torch.equal(ours.state_dict()[name], before[name]) for name in heads)
    ours.head, ours.auxiliary[7] = theirs.head, theirs.auxiliary[7]
    assert not differing(ours, theirs)


def test_a_shape_mismatch_names_both_shapes(tmp_path: Path) -> None:
    path = saved(tmp_path, Tiny(4, 28))
    other = Tiny(4, 28)
    other.features[0] = nn.Conv2d(3, 16, 3, stride=2)
    says = r"features.0.weight has shape \(16, 3, 5, 5\) in the file and \(16, 3, 3, 3\) in this network"
    with pytest.raises(WeightsError, match=says):
        start_from(other, path)
    wider = Tiny(4, 28)
    wider.classifier[2] = nn.Linear(128 + 1, 3)
    with pytest.raises(WeightsError, match=r"classifier.2.weight has shape \(4, 128\) in the file and \(3, 129\)"):
        start_from(wider, path)


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Tiny(4, 28))
    with pytest.raises(WeightsError, match="is of another network: stem.0.weight .* is missing in the file"):
        start_from(GoogLeNet(4, 47), path)
    more = Tiny(4, 28)
    more.extra = nn.Linear(1, 1)
    with pytest.raises(WeightsError, match="extra.weight .* is not in this network .2 in all."):
        start_from(Tiny(4, 28), saved(tmp_path / "more", more))


def test_rows_of_classes_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    theirs, ours = Tiny(4, 28), Tiny(4, 28)
    path = saved(tmp_path, theirs)
    here = ["n2", "n0", "n3", "n1"]
    assert start_from(ours, path, None, here, HEAD) == f"{path}, all of them, their classes matched by name"
    for name in HEAD:
        assert torch.equal(ours.state_dict()[name], theirs.state_dict()[name][[2, 0, 3, 1]])
    start_from(ours, path, None, FOLDERS, HEAD)
    assert not differing(ours, theirs)


def test_classes_of_other_names_get_new_last_layers_unless_order_is_meant(tmp_path: Path) -> None:
    theirs, ours = Tiny(4, 28), Tiny(4, 28)
    path = saved(tmp_path, theirs)
    message = start_from(ours, path, None, ["a", "b", "c", "d"], HEAD)
    assert message.startswith(
        f"{path}, all but {', '.join(HEAD)}, which are new: the classes have other names; if they"
    )
    assert differing(ours, theirs) == set(HEAD)
    start_from(ours, path)
    assert not differing(ours, theirs)
