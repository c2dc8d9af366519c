"""theano_alexnet's files against its arithmetic, transcribed with scipy."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal
from torch.nn import functional

from lib.errors import WeightsError
from lib.formats import theano

# Inputs, outputs and kernel of each convolution, then inputs and outputs of each linear layer.
CONVOLUTIONS = [(3, 4, 5), (4, 6, 3), (6, 4, 3), (4, 6, 3), (6, 4, 3)]
LINEAR = [(16, 6), (6, 5), (5, 3)]


def write_folder(folder: Path, epoch: int = 65, seed: int = 0) -> dict[str, np.ndarray]:
    """Write files as theano_alexnet does; return the arrays by file name without the epoch."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for layer, (inputs, outputs, kernel) in enumerate(CONVOLUTIONS):
        groups = [""] if theano.LAYERS[layer][1] == 1 else ["0", "1"]
        for group in groups:
            shape = (inputs // len(groups), kernel, kernel, outputs // len(groups))
            arrays[f"W{group}_{layer}"] = rng.standard_normal(shape).astype(np.float32)
            arrays[f"b{group}_{layer}"] = rng.standard_normal(shape[3]).astype(np.float32)
    for layer, (inputs, outputs) in enumerate(LINEAR, len(CONVOLUTIONS)):
        arrays[f"W_{layer}"] = rng.standard_normal((inputs, outputs)).astype(np.float32)
        arrays[f"b_{layer}"] = rng.standard_normal(outputs).astype(np.float32)
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}_{epoch}.npy", array)
    return arrays


def theano_convolution(
    images_CHW: np.ndarray, W: np.ndarray, b: np.ndarray, operation: Callable[..., np.ndarray]
) -> np.ndarray:
    """Convolve one group; W is (inputs, height, width, outputs)."""
    maps = [
        sum(operation(images_CHW[i], W[i, :, :, o], mode="valid") for i in range(len(images_CHW))) + b[o]
        for o in range(W.shape[3])
    ]
    return np.stack(maps)


@pytest.mark.parametrize(
    ("read", "operation"),
    [(theano.read, signal.convolve2d), (partial(theano.read, lib_conv="cudaconvnet"), signal.correlate2d)],
    ids=["cudnn", "cudaconvnet"],
)
@pytest.mark.parametrize("layer", range(5))
def test_a_convolution_computes_what_theanos_does(
    tmp_path: Path, read: Callable[[Path], dict[str, torch.Tensor]], operation: Callable[..., np.ndarray], layer: int
) -> None:
    arrays = write_folder(tmp_path / "w")
    weights = read(tmp_path / "w")
    name, groups = theano.LAYERS[layer]
    inputs = CONVOLUTIONS[layer][0]
    images = np.random.default_rng(1).standard_normal((inputs, 9, 9)).astype(np.float32)
    groups_of_images = np.split(images, groups)
    suffixes = [""] if groups == 1 else ["0", "1"]
    expected = np.concatenate(
        [
            theano_convolution(group, arrays[f"W{s}_{layer}"], arrays[f"b{s}_{layer}"], operation)
            for group, s in zip(groups_of_images, suffixes, strict=True)
        ]
    )
    got = functional.conv2d(
        torch.from_numpy(images)[None], weights[f"{name}.weight"], weights[f"{name}.bias"], groups=groups
    )
    np.testing.assert_allclose(got[0].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [5, 6, 7])
def test_a_linear_layer_computes_what_theanos_does(tmp_path: Path, layer: int) -> None:
    arrays = write_folder(tmp_path / "w")
    weights = theano.read(tmp_path / "w")
    x = np.random.default_rng(1).standard_normal((2, LINEAR[layer - 5][0])).astype(np.float32)
    name = theano.LAYERS[layer][0]
    got = functional.linear(torch.from_numpy(x), weights[f"{name}.weight"], weights[f"{name}.bias"])
    np.testing.assert_allclose(got.numpy(), x @ arrays[f"W_{layer}"] + arrays[f"b_{layer}"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lib_conv", ["cudnn", "cudaconvnet"])
def test_written_files_equal_theano_alexnets_bit_for_bit(tmp_path: Path, lib_conv: theano.LibConv) -> None:
    arrays = write_folder(tmp_path / "w")
    weights = theano.read(tmp_path / "w", lib_conv)
    theano.write(weights, 7, tmp_path / "again", lib_conv)
    assert {path.name for path in (tmp_path / "again").iterdir()} == {f"{name}_7.npy" for name in arrays}
    for name, array in arrays.items():
        assert np.array_equal(np.load(tmp_path / f"again/{name}_7.npy"), array), name


def test_the_last_epoch_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "w", epoch=9)
    newest = write_folder(tmp_path / "w", epoch=10, seed=1)
    assert theano.recognizes(tmp_path / "w")
    assert np.array_equal(theano.read(tmp_path / "w")["features.0.bias"].numpy(), newest["b_0"])


def test_missing_and_damaged_files_and_other_networks_are_refused(tmp_path: Path) -> None:
    assert not theano.recognizes(tmp_path)
    with pytest.raises(WeightsError, match="has no file W_0_EPOCH.npy"):
        theano.read(tmp_path)
    write_folder(tmp_path / "w")
    (tmp_path / "w/b1_3_65.npy").unlink()
    with pytest.raises(WeightsError, match="b1_3_65.npy is missing"):
        theano.read(tmp_path / "w")
    (tmp_path / "w/b1_3_65.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(WeightsError, match="b1_3_65.npy is damaged"):
        theano.read(tmp_path / "w")
    with pytest.raises(WeightsError, match="for the network alexnet only"):
        theano.write({"features.0.weight": torch.zeros(1)}, 1, tmp_path / "x")
