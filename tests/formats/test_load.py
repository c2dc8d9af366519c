"""Tests of loading weights of any known format into a network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation
from lib.checkpoints.folder import CheckpointFolder
from lib.errors import WeightsError
from lib.formats import safe_tensors
from lib.formats.registry import load_weights
from lib.models.tiny import Tiny


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def file_of(model: nn.Module, path: Path, **changes: torch.Tensor | None) -> Path:
    """Write a safetensors file of a model's weights, some replaced or, with None, omitted."""
    state = model.state_dict() | {name.replace("__", "."): value for name, value in changes.items()}
    safe_tensors.write({name: value for name, value in state.items() if value is not None}, {"network": "x"}, path)
    return path


def test_weights_of_a_checkpoint_are_loaded(tmp_path: Path) -> None:
    trained, fresh = Tiny(4, 28), Tiny(4, 28)
    path = CheckpointFolder(tmp_path, keep=1).save(
        Checkpoint(
            identity=Identity(model="tiny", n_classes=4, img_size=32, data_fingerprint=""),
            preparation=Preparation(resize="squash", mean=torch.zeros(3, 32, 32), classes=(("a", "a"),) * 4),
            seed=1,
            total_batch_size=16,
            epoch=1,
            iteration=0,
            val_record=torch.zeros(1, 2, dtype=torch.float64),
            parameters=trained.state_dict(),
            momentum={},
        ),
        is_best=False,
    )
    load_weights(fresh, path)
    assert equal(fresh, trained)


def test_weights_are_copied_in_place(tmp_path: Path) -> None:
    trained, fresh = Tiny(4, 28), Tiny(4, 28)
    before = [parameter.data_ptr() for parameter in fresh.parameters()]
    load_weights(fresh, file_of(trained, tmp_path / "w.safetensors"))
    assert equal(fresh, trained)
    assert [parameter.data_ptr() for parameter in fresh.parameters()] == before


def test_counters_of_batch_norms_are_not_needed(tmp_path: Path) -> None:
    trained, fresh = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    assert trained.running_mean is not None and fresh.running_mean is not None
    trained.running_mean.fill_(2)
    load_weights(fresh, file_of(trained, tmp_path / "w.safetensors", num_batches_tracked=None))
    assert torch.all(fresh.running_mean == 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classifier__2__weight": torch.zeros(5, 128)},
            r"classifier.2.weight has shape \(5, 128\) in the file and \(4, 128\) in this network",
        ),
        ({"features__0__bias": None}, r"features.0.bias \(16,\) is missing in the file \(1 in all\)"),
        ({"fc": torch.zeros(2)}, r"fc \(2,\) is not in this network \(1 in all\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    fresh = Tiny(4, 28)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    path = file_of(Tiny(4, 28), tmp_path / "w.safetensors", **changes)
    with pytest.raises(WeightsError, match=message):
        load_weights(fresh, path)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_a_format_can_be_named_and_must_be_known(tmp_path: Path) -> None:
    trained, fresh = Tiny(4, 28), Tiny(4, 28)
    path = file_of(trained, tmp_path / "weights")
    load_weights(fresh, f"safetensors:{path}")
    assert equal(fresh, trained)
    with pytest.raises(WeightsError, match="there are no weights at .*nowhere"):
        load_weights(fresh, tmp_path / "nowhere")
    (tmp_path / "text").write_text("this is not a file of weights")
    with pytest.raises(
        WeightsError, match="in none of the known formats: torch, safetensors, theano, cudaconvnet, caffe"
    ):
        load_weights(fresh, tmp_path / "text")
    (tmp_path / "text").rename(tmp_path / "network.onnx")
    with pytest.raises(WeightsError, match="can only classify pictures; name its checkpoint or .safetensors file"):
        load_weights(fresh, tmp_path / "network.onnx")
