"""Tests of the format of Caffe."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lib.errors import WeightsError
from lib.formats import caffe
from lib.formats.caffe_names import ALEXNET
from lib.formats.registry import load_weights
from tests.support.caffe_files import Layers, caffemodel, old_caffemodel

RNG = np.random.default_rng(0)


def randn(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def norm(channels: int, factor: float = 2.5) -> list[np.ndarray]:
    return [randn(channels), randn(channels) ** 2 + 0.1, np.array([factor], np.float32)]


def resnet(blocks: dict[str, list[str]], first_factor: float = 2.5) -> dict[str, list[np.ndarray]]:
    """Return a ResNet of 4 channels with the named branches in each block."""
    layers = {
        "conv1": [randn(4, 3, 7, 7), randn(4)],
        "bn_conv1": norm(4, first_factor),
        "scale_conv1": [randn(4), randn(4)],
    }
    for block, branches in blocks.items():
        for branch in branches:
            layers[f"res{block}_branch{branch}"] = [randn(4, 4, 1, 1)]
            layers[f"bn{block}_branch{branch}"] = norm(4)
            layers[f"scale{block}_branch{branch}"] = [randn(4), randn(4)]
    return layers | {"fc1000": [randn(10, 4), randn(10)]}


def write(tmp_path: Path, layers: Layers) -> Path:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(layers))
    return path


def test_the_first_layers_compute_what_caffes_do(tmp_path: Path) -> None:
    """Convolution of a BGR image, BatchNorm and Scale, in NumPy, by Caffe's definitions."""
    layers = resnet({"2a": ["1", "2a", "2b", "2c"]})
    weights = caffe.read(write(tmp_path, layers)).tensors
    image_RGB = randn(3, 7, 7)
    (weight, bias), (mean, variance, factor), (gamma, beta) = (
        layers[name] for name in ("conv1", "bn_conv1", "scale_conv1")
    )
    convolved = (weight * image_RGB[::-1]).sum((1, 2, 3)) + bias
    expected = (convolved - mean / factor) / np.sqrt(variance / factor + 1e-5) * gamma + beta
    ours = nn.Sequential(nn.Conv2d(3, 4, 7), nn.BatchNorm2d(4)).eval()
    for number, name in enumerate(("conv1", "bn1")):
        state = {key.partition(".")[2]: value for key, value in weights.items() if key.startswith(f"{name}.")}
        ours[number].load_state_dict(state, strict=name == "conv1")
    got = ours(torch.from_numpy(image_RGB)[None])[0, :, 0, 0]
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_batch_norm_with_factor_zero_has_zero_statistics(tmp_path: Path) -> None:
    weights = caffe.read(write(tmp_path, resnet({"2a": ["2a"]}, first_factor=0.0))).tensors
    assert not weights["bn1.running_mean"].any()
    assert not weights["bn1.running_var"].any()


def test_layers_of_a_resnet_are_renamed(tmp_path: Path) -> None:
    whole = ["1", "2a", "2b", "2c"]
    layers = resnet({"2a": whole, "2b": whole[1:], "3a": whole, "3b1": whole[1:], "3b12": whole[1:], "4c": ["2a"]})
    weights = caffe.read(write(tmp_path, layers)).tensors
    norms = ("weight", "bias", "running_mean", "running_var")
    prefixes = ["layers.0.0", "layers.0.1", "layers.1.0", "layers.1.1", "layers.1.12"]
    expected = {"conv1.weight", "conv1.bias", "fc.weight", "fc.bias", *(f"bn1.{n}" for n in norms)}
    expected |= {f"{prefix}.conv{i}.weight" for prefix in prefixes for i in (1, 2, 3)}
    expected |= {f"{prefix}.bn{i}.{n}" for prefix in prefixes for i in (1, 2, 3) for n in norms}
    for prefix in ("layers.0.0", "layers.1.0"):
        expected |= {f"{prefix}.downsample.0.weight", *(f"{prefix}.downsample.1.{n}" for n in norms)}
    expected |= {"tail.0.weight", *(f"tail.1.{n}" for n in norms)}  # the truncated block
    assert set(weights) == expected
    assert np.array_equal(weights["layers.1.12.conv3.weight"], layers["res3b12_branch2c"][0])
    assert np.array_equal(weights["layers.0.0.downsample.1.bias"], layers["scale2a_branch1"][1])


@pytest.mark.parametrize("write", [caffemodel, old_caffemodel])
def test_alexnet_in_old_and_new_files(tmp_path: Path, write: Callable[[Layers], bytes]) -> None:
    layers = {name: [randn(4, 3 if name == "conv1" else 2, 3, 3), randn(4)] for name in ALEXNET if name < "fc"}
    layers |= {name: [randn(5, 6), randn(5)] for name in ("fc6", "fc7", "fc8")}
    path = tmp_path / "bvlc_alexnet.caffemodel"
    path.write_bytes(write(layers))
    assert caffe.recognizes(path)
    weights, _, _, network = caffe.read(path)
    assert network == ""
    assert np.array_equal(weights["features.0.weight"], layers["conv1"][0][:, ::-1])
    for theirs, ours in ALEXNET.items():
        assert np.array_equal(weights[f"{ours}.bias"], layers[theirs][1])
        if theirs != "conv1":
            assert np.array_equal(weights[f"{ours}.weight"], layers[theirs][0]), theirs


@pytest.mark.parametrize("write", [caffemodel, old_caffemodel])
@pytest.mark.parametrize(
    ("order", "network"),
    [(("norm1", "pool1", "norm2", "pool2"), "bvlc_alexnet"), (("pool1", "norm1", "pool2", "norm2"), "caffenet")],
)
def test_the_order_of_layers_without_weights_tells_alexnet_and_caffenet_apart(
    tmp_path: Path, write: Callable[[Layers], bytes], order: Sequence[str], network: str
) -> None:
    layers: dict[str, list[np.ndarray]] = {"conv1": [randn(4, 3, 3, 3), randn(4)]}
    layers |= {name: [] for name in order} | {"fc6": [randn(5, 6), randn(5)]}
    path = tmp_path / "net.caffemodel"
    path.write_bytes(write(layers))
    assert caffe.read(path).network == network
    with pytest.raises(WeightsError, match=f"is of the network {network}, not alexnet; use --model.name {network}"):
        load_weights(nn.Linear(1, 1), path, network="alexnet")


@pytest.mark.parametrize(
    ("kernel", "indices"), [(7, [3, 4, 5, 7, 8, 9, 10, 12]), (3, [3, 4, 6, 7, 9, 10, 11, 12])], ids=["1.0", "1.1"]
)
def test_layers_of_squeezenet_are_renamed(tmp_path: Path, kernel: int, indices: list[int]) -> None:
    layers = {"conv1": [randn(4, 3, kernel, kernel), randn(4)]}
    for fire in range(2, 10):
        for part in ("squeeze1x1", "expand1x1", "expand3x3"):
            layers[f"fire{fire}/{part}"] = [randn(2, 2, 1, 1), randn(2)]
    layers["conv10"] = [randn(10, 2, 1, 1), randn(10)]
    weights = caffe.read(write(tmp_path, layers)).tensors
    for fire, index in enumerate(indices, 2):
        assert np.array_equal(weights[f"features.{index}.squeeze.weight"], layers[f"fire{fire}/squeeze1x1"][0])
        assert np.array_equal(weights[f"features.{index}.expand3x3.bias"], layers[f"fire{fire}/expand3x3"][1])
    assert np.array_equal(weights["classifier.1.bias"], layers["conv10"][1])
    assert len(weights) == 2 * (2 + 3 * 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0a\xff", "is damaged or not a caffemodel .*; fetch it again"),
        (b"", "it has no layer with weights"),
        (caffemodel({"conv1_1": [randn(2, 3, 3, 3)]}), "of an unsupported network: it has layers such as conv1_1"),
        (
            caffemodel({"conv1": [randn(2, 3, 3, 3)], "fc6": [randn(2, 2)], "fc9": [randn(2)]}),
            "its layer fc9 is not in that network",
        ),
        (
            caffemodel({"conv1": [randn(2, 1, 3, 3)], "fc6": [randn(2, 2)]}),
            "conv1 is not a convolution of a color image",
        ),
    ],
    ids=["broken", "empty", "vgg", "one more", "grey"],
)
def test_other_files_and_networks_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.caffemodel"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        caffe.read(path)


def test_values_that_do_not_fit_their_shape_are_refused(tmp_path: Path) -> None:
    content = caffemodel({"fc6": [randn(6, 2)]}).replace(b"\x0a\x02\x06\x02", b"\x0a\x02\x06\x03")
    (tmp_path / "x.caffemodel").write_bytes(content)
    with pytest.raises(WeightsError, match=r"layer fc6 has 12 values but shape \(6, 3\)"):
        caffe.read(tmp_path / "x.caffemodel")
