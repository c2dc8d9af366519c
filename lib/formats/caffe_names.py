"""The names of Caffe's layers in this program's networks, by family of networks."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import WeightsError

ALEXNET = {
    "conv1": "features.0",
    "conv2": "features.4",
    "conv3": "features.8",
    "conv4": "features.10",
    "conv5": "features.12",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.7",
}

# Indices of fire2 to fire9 in ``features``; the two versions of SqueezeNet pool at different layers.
FIRES_V1_0 = (3, 4, 5, 7, 8, 9, 10, 12)
FIRES_V1_1 = (3, 4, 6, 7, 9, 10, 11, 12)

_RESNET = re.compile(r"(?:res|bn|scale)([2-5])([a-z]\d*)_branch(1|2[abc])")


def rename_table(path: Path, layers: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return this program's name of each layer. Raises WeightsError if the network is not supported."""
    for marker, family in _FAMILIES.items():
        if marker in layers:
            table = family(layers)
            if unknown := [layer for layer in layers if layer not in table]:
                raise WeightsError(f"{path} has layer {marker}, but its layer {unknown[0]} is not in that network")
            return table
    raise WeightsError(
        f"{path} is of an unsupported network: it has layers such as {next(iter(layers))}; supported are the ResNets "
        "of resnet-imagenet-caffe, AlexNet, CaffeNet and SqueezeNet"
    )


def resnet(layers: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the names in ``CaffeResNet``; a truncated block is its tail."""
    names = {"conv1": "conv1", "bn_conv1": "bn1", "scale_conv1": "bn1"}
    for layer in layers:
        if match := _RESNET.fullmatch(layer):
            stage, block, branch = match.groups()
            truncated = f"res{stage}{block}_branch2b" not in layers
            prefix = "tail" if truncated else f"layers.{int(stage) - 2}.{_block_index(block)}"
            names[layer] = f"{prefix}.{_submodule(branch, is_norm=not layer.startswith('res'), truncated=truncated)}"
        elif layer.startswith("fc"):
            names[layer] = "fc"
    return names


def _block_index(block: str) -> int:
    """Return the index of a block in its stage. Blocks are named a, b, c, ... or a, b1, b2, ...

    >>> [_block_index(block) for block in ("a", "c", "b22")]
    [0, 2, 22]
    """
    return int(block[1:]) if len(block) > 1 else ord(block) - ord("a")


def _submodule(branch: str, *, is_norm: bool, truncated: bool) -> str:
    if truncated:
        return "1" if is_norm else "0"
    if branch == "1":
        return "downsample.1" if is_norm else "downsample.0"
    return f"{'bn' if is_norm else 'conv'}{ord(branch[1]) - ord('a') + 1}"


def network_name(layers: Mapping[str, Sequence[Any]], order: Sequence[str]) -> str:
    """Return the name of the network where others have weights of the same shapes, or an empty text.

    ``layers`` has the arrays of those that have weights, and ``order`` the names of all.
    """
    if "fire2/squeeze1x1" in layers:
        return "squeezenet_v1_0_caffe" if layers["conv1"][0].shape[-1] == 7 else "squeezenet_v1_1"
    if "fc6" in layers and {"norm1", "pool1"} <= set(order):
        return "bvlc_alexnet" if order.index("norm1") < order.index("pool1") else "caffenet"
    return ""


def squeezenet(layers: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return the names in SqueezeNet 1.0 or 1.1, which differ in the first convolution's kernel."""
    fires = FIRES_V1_0 if layers["conv1"][0].shape[-1] == 7 else FIRES_V1_1
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for number, index in enumerate(fires, 2):
        for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            names[f"fire{number}/{theirs}"] = f"features.{index}.{ours}"
    return names


# By a layer that only this family has.
_FAMILIES: dict[str, Callable[[Mapping[str, Sequence[Any]]], dict[str, str]]] = {
    "res2a_branch2a": resnet,
    "fc6": lambda _: ALEXNET,
    "fire2/squeeze1x1": squeezenet,
}
