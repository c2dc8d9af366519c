"""Weights that are damaged, not finite or of another type are refused, whatever their format."""

import argparse
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lib.errors import WeightsError
from lib.formats.registry import load_weights, read_weights
from lib.models.tiny import Tiny
from tests.support.caffe_files import caffemodel, old_caffemodel

SQUEEZENET = {"conv1": [np.ones((2, 3, 3, 3)), np.ones(2)], "fire2/squeeze1x1": [np.ones((2, 2, 1, 1)), np.ones(2)]}
LINEAR = {"conv1": [np.ones((2, 3, 3, 3)), np.ones(2)], "fc6": [np.ones((4, 2)), np.ones(4)]}


def write_theano(path: Path) -> None:
    path.mkdir()
    for layer in range(8):
        for name in ("W", "b", "W0", "W1", "b0", "b1"):
            np.save(path / f"{name}_{layer}_1.npy", np.ones((2,) if name[0] == "b" else (3, 2, 2, 2), np.float32))


WRITERS: dict[str, Callable[[Path], object]] = {
    "w.pth": lambda path: torch.save(Tiny(2, 28).features.state_dict(), path),
    "old.pth": lambda path: torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False),
    "w.safetensors": lambda path: save_file({"a": torch.ones(3, 2), "b": torch.ones(4)}, path),
    "w.caffemodel": lambda path: path.write_bytes(caffemodel(SQUEEZENET)),
    "old.caffemodel": lambda path: path.write_bytes(old_caffemodel(LINEAR)),
    "theano": write_theano,
}


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_a_damaged_file_makes_a_reader_raise_becomes_one_error(tmp_path: Path, name: str) -> None:
    path, rng = tmp_path / name, random.Random(name)
    WRITERS[name](path)
    read_weights(path)
    files = {file: file.read_bytes() for file in ([path] if path.is_file() else sorted(path.iterdir()))}
    refused = 0
    for _ in range(300):
        file, content = rng.choice(list(files.items()))
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(min(len(damaged), rng.choice((40, 400, 100_000))))] = rng.randrange(256)
        file.write_bytes(damaged[: rng.choice((len(damaged), rng.randrange(len(damaged))))])
        try:
            read_weights(path)
        except WeightsError as error:
            refused += 1
            assert path.name in str(error)
        file.write_bytes(content)
    assert refused


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.full((4,), math.nan), "classifier.2.bias contains NaN or infinite numbers; use other weights"),
        (torch.full((4,), 1e300, dtype=torch.float64), "classifier.2.bias contains NaN or infinite"),
        (torch.zeros(4, dtype=torch.int32), "classifier.2.bias has torch.int32 numbers instead of torch.float32"),
        (torch.zeros(4, dtype=torch.complex64), "classifier.2.bias has complex numbers"),
        (torch.zeros(4).to_sparse(), "classifier.2.bias is sparse"),
        (torch.zeros(1).expand(4), "classifier.2.bias claims more numbers"),
    ],
    ids=["NaN", "too large", "integers", "complex", "sparse", "expanded"],
)
def test_numbers_that_are_no_weights_are_refused(tmp_path: Path, value: Tensor, says: str) -> None:
    path = tmp_path / "w.pth"
    torch.save(Tiny(4, 28).state_dict() | {"classifier.2.bias": value}, path)
    with pytest.raises(WeightsError, match=rf"w.pth: {says}"):
        load_weights(Tiny(4, 28), path)


def test_half_precision_is_accepted(tmp_path: Path) -> None:
    trained, fresh = Tiny(4, 28), Tiny(4, 28)
    torch.save(trained.half().state_dict(), tmp_path / "half.pth")
    load_weights(fresh, tmp_path / "half.pth", (255 * 0.229, 255 * 0.224, 255 * 0.225))
    assert torch.equal(fresh.state_dict()["classifier.2.weight"], trained.float().state_dict()["classifier.2.weight"])


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: prefixed(state, "module."),
        lambda state: prefixed(state, "_orig_mod.module."),
        lambda state: {"epoch": 9, "arch": "tiny", "state_dict": prefixed(state, "module."), "best": torch.ones(1)},
        lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "optimizer": {"state": {}}},
        lambda state: {name: torch.nn.Parameter(value) for name, value in state.items()},
        lambda state: prefixed(state | {"mean_image": torch.zeros(3, 32, 32)}, "module."),
    ],
    ids=["DistributedDataParallel", "compiled", "the ImageNet example", "with options", "parameters", "exported"],
)
def test_what_training_scripts_wrap_around_weights_is_taken_off(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object]
) -> None:
    trained, fresh = Tiny(4, 28), Tiny(4, 28)
    torch.save(wrap(trained.state_dict()), tmp_path / "w.pth.tar")
    load_weights(fresh, tmp_path / "w.pth.tar", (255 * 0.229, 255 * 0.224, 255 * 0.225))
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in trained.state_dict().items())


def test_weights_of_another_network_with_the_same_shapes_are_refused(tmp_path: Path) -> None:
    """SqueezeNet 1.0 of Caffe pads its last convolution, torchvision's does not: only the names differ."""
    path = tmp_path / "w.caffemodel"
    path.write_bytes(caffemodel(SQUEEZENET | {"conv1": [np.ones((2, 3, 7, 7)), np.ones(2)]}))
    assert read_weights(path).network == "squeezenet_v1_0_caffe"
    with pytest.raises(WeightsError, match="is of the network squeezenet_v1_0_caffe, not squeezenet_v1_0; use --"):
        load_weights(Tiny(4, 28), path, network="squeezenet_v1_0")
