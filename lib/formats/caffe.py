"""Caffe's .caffemodel: the ResNets of resnet-imagenet-caffe (and He's), AlexNet, CaffeNet, and SqueezeNet.

Caffe's networks see blue, green, red; ours see red, green, blue, so the first convolution is turned round. Caffe
splits a batch norm into BatchNorm (mean, variance, and the factor that both must be divided by) and Scale (gamma,
beta); here they are one again. The published AlexNet normalises responses before pooling and with k = 1, ours
(theano_alexnet's) after it and with k = 2: its weights fit, but are a start for training rather than its results.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from torch import Tensor

from lib.errors import WeightsError
from lib.formats.caffe_names import names_of

Blobs = list[NDArray[np.float32]]


def recognises(path: Path) -> bool:
    """By its name: a protobuf has no mark of its own."""
    return path.suffix == ".caffemodel" and path.is_file()


def read(path: Path) -> dict[str, Tensor]:
    """The weights in our names. Raises WeightsError when it is no caffemodel, or of a network not known here."""
    layers = read_layers(path)
    name_of = names_of(path, layers)
    first = next(iter(layers))
    found: dict[str, Tensor] = {}
    for layer, blobs in layers.items():
        convert, name = _CONVERT.get(_kind(layer), _weight_and_bias), name_of(layer)
        found |= {f"{name}.{part}": torch.from_numpy(value) for part, value in convert(blobs).items()}
    first_weight = f"{name_of(first)}.weight"
    if found[first_weight].ndim != 4 or found[first_weight].shape[1] != 3:
        raise WeightsError(f"{path}: its first layer {first} is no convolution of a colour image")
    return found | {first_weight: found[first_weight].flip(1)}


def read_layers(path: Path) -> dict[str, Blobs]:
    """The arrays of each layer that has any, in the order of the file. Raises WeightsError."""
    from lib.formats.caffe_messages import message_class  # noqa: PLC0415  slow to import, and few ever need it

    net = message_class("Net")()
    try:
        net.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise WeightsError(f"{path} is no caffemodel, or damaged ({error}); fetch it again") from None
    layers = {
        layer.name: [_array(path, layer.name, blob) for blob in layer.blobs]
        for layer in (*net.layers, *net.layer)
        if layer.blobs
    }
    if not layers:
        raise WeightsError(f"{path} holds no layer with weights, so it is no caffemodel")
    return layers


def _array(path: Path, layer: str, blob: Any) -> NDArray[np.float32]:
    values = np.frombuffer(blob.data, "<f4") if blob.data else np.frombuffer(blob.double_data, "<f8")
    old_shape = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else old_shape
    if values.size != np.prod(shape):
        raise WeightsError(f"{path}: layer {layer} has {values.size} numbers where its shape is {shape}")
    return values.reshape(shape).astype(np.float32)


def _kind(layer: str) -> str:
    return next((kind for kind in _CONVERT if layer.startswith(kind)), "")


def _weight_and_bias(blobs: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    weight, bias = blobs[0], blobs[1:]
    if weight.ndim == 4 and weight.shape[:2] == (1, 1):  # a linear layer of an old file
        weight = weight[0, 0]
    return {"weight": weight} | ({"bias": bias[0].reshape(-1)} if bias else {})


def _mean_and_variance(blobs: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    mean, variance, factor = (blob.reshape(-1) for blob in blobs)
    by = 0.0 if factor[0] == 0 else 1 / factor[0]  # as Caffe does
    return {"running_mean": mean * np.float32(by), "running_var": variance * np.float32(by)}


# By how a layer's name begins: BatchNorm and Scale of the ResNets.
_CONVERT: dict[str, Callable[[Sequence[NDArray[np.float32]]], dict[str, NDArray[np.float32]]]] = {
    "bn": _mean_and_variance,
    "scale": _weight_and_bias,
}
