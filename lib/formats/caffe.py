"""Caffe's .caffemodel files: the ResNets of resnet-imagenet-caffe (and He's), AlexNet, CaffeNet, and SqueezeNet.

Caffe's networks take BGR images, this program's RGB, so the channels of the first convolution are reversed. Caffe
splits a batch norm into BatchNorm (mean, variance, and a factor to divide both by) and Scale (gamma, beta); here they
are merged. AlexNet and CaffeNet have weights of the same shapes, as has this program's alexnet, which is
theano_alexnet's: the order of the layers tells them apart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray
from torch import Tensor

from ..errors import WeightsError
from .caffe_names import network_name, rename_table
from .scaled_weights import ScaledWeights

# The fields of caffe.proto that store weights, by message: (name, number, type). A str names another message; a list
# means repeated. Packed numbers look like bytes on the wire: declared as bytes, they are read without a copy.
_FIELDS: dict[str, tuple[tuple[str, int, Any], ...]] = {
    "Shape": (("dim", 1, [Field.TYPE_INT64]),),
    "Blob": (
        ("num", 1, Field.TYPE_INT32),
        ("channels", 2, Field.TYPE_INT32),
        ("height", 3, Field.TYPE_INT32),
        ("width", 4, Field.TYPE_INT32),
        ("data", 5, Field.TYPE_BYTES),
        ("shape", 7, "Shape"),
        ("double_data", 8, Field.TYPE_BYTES),
    ),
    "Layer": (("name", 1, Field.TYPE_STRING), ("type", 2, Field.TYPE_STRING), ("blobs", 7, ["Blob"])),
    "OldLayer": (("name", 4, Field.TYPE_STRING), ("blobs", 6, ["Blob"])),
    "Net": (("name", 1, Field.TYPE_STRING), ("layers", 2, ["OldLayer"]), ("layer", 100, ["Layer"])),
}

Blobs = list[NDArray[np.float32]]


def recognizes(path: Path) -> bool:
    """Return whether the name of ``path`` ends in .caffemodel: the content of a protobuf has no signature."""
    return path.suffix == ".caffemodel" and path.is_file()


def read(path: Path) -> ScaledWeights:
    """Return the weights in this program's names. Raises WeightsError if file or network are not supported."""
    order, layers = read_layers(path)
    names = rename_table(path, layers)
    tensors: dict[str, Tensor] = {}
    for layer, blobs in layers.items():
        convert = _mean_and_variance if layer.startswith("bn") else _weight_and_bias
        tensors |= {f"{names[layer]}.{kind}": torch.from_numpy(value) for kind, value in convert(blobs).items()}
    first = next(iter(layers))
    first_weight = f"{names[first]}.weight"
    if tensors[first_weight].ndim != 4 or tensors[first_weight].shape[1] != 3:
        raise WeightsError(f"{path}: its first layer {first} is not a convolution of a color image")
    tensors[first_weight] = tensors[first_weight].flip(1)
    return ScaledWeights(tensors, network=network_name(layers, order))


def read_layers(path: Path) -> tuple[list[str], dict[str, Blobs]]:
    """Return the names of all layers, in order, and the arrays of those that have any. Raises WeightsError."""
    net = _net_class()()
    try:
        net.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise WeightsError(f"{path} is damaged or not a caffemodel ({error}); fetch it again") from None
    found = (*net.layers, *net.layer)
    layers = {layer.name: [_array(path, layer.name, blob) for blob in layer.blobs] for layer in found if layer.blobs}
    if not layers:
        raise WeightsError(f"{path} is not a caffemodel: it has no layer with weights")
    return [layer.name for layer in found], layers


def _net_class() -> Any:
    """Return the protobuf class of the message Net."""
    file = FileDescriptorProto(name="caffe_weights.proto", package="weights", syntax="proto2")
    for message, fields in _FIELDS.items():
        descriptor = file.message_type.add(name=message)
        for field, number, kind in fields:
            repeated = isinstance(kind, list)
            label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            added = descriptor.field.add(name=field, number=number, label=label)
            element = kind[0] if repeated else kind
            if isinstance(element, str):
                added.type, added.type_name = Field.TYPE_MESSAGE, f".weights.{element}"
            else:
                added.type = element
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("weights.Net"))


def _array(path: Path, layer: str, blob: Any) -> NDArray[np.float32]:
    values = np.frombuffer(blob.data, "<f4") if blob.data else np.frombuffer(blob.double_data, "<f8")
    old_shape = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else old_shape
    if values.size != np.prod(shape):
        raise WeightsError(f"{path} is damaged: layer {layer} has {values.size} values but shape {shape}")
    return values.reshape(shape).astype(np.float32)


def _weight_and_bias(blobs: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    weight, bias = blobs[0], blobs[1:]
    if weight.ndim == 4 and weight.shape[:2] == (1, 1):  # a linear layer of an old file
        weight = weight[0, 0]
    return {"weight": weight} | ({"bias": bias[0].reshape(-1)} if bias else {})


def _mean_and_variance(blobs: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    mean, variance, factor = (blob.reshape(-1) for blob in blobs)
    scale = np.float32(0.0 if factor[0] == 0 else 1 / factor[0])  # as Caffe does
    return {"running_mean": mean * scale, "running_var": variance * scale}
