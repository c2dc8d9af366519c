"""Caffe's names of layers in ours, one function a family of networks."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.errors import WeightsError

Names = Callable[[str], str]

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

# Where fire2 to fire9 stand in our features; the two versions pool at different places.
FIRES_V1_0 = (3, 4, 5, 7, 8, 9, 10, 12)
FIRES_V1_1 = (3, 4, 6, 7, 9, 10, 11, 12)

_RESNET = re.compile(r"(?:res|bn|scale)([2-5])([a-z]\d*)_branch(1|2[abc])")


def names_of(path: Path, layers: Mapping[str, Sequence[Any]]) -> Names:
    """The function that renames the layers of this network. Raises WeightsError when none does."""
    for mark, family in _FAMILIES.items():
        if mark in layers:
            table = family(layers)
            if unknown := [layer for layer in layers if layer not in table]:
                raise WeightsError(f"{path} looks like {mark}'s network, but {unknown[0]} is no layer of that")
            return table.__getitem__
    raise WeightsError(
        f"{path} is of another network: it has layers such as {next(iter(layers))}; known are the ResNets of "
        "resnet-imagenet-caffe, AlexNet, CaffeNet and SqueezeNet"
    )


def resnet(layers: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """As ``CaffeResNet`` names them; what is left of a cut block is its tail."""
    found = {"conv1": "conv1", "bn_conv1": "bn1", "scale_conv1": "bn1"}
    for layer in layers:
        if match := _RESNET.fullmatch(layer):
            stage, block, branch = match.groups()
            cut = f"res{stage}{block}_branch2b" not in layers
            place = "tail" if cut else f"layers.{int(stage) - 2}.{_block_number(block)}"
            found[layer] = f"{place}.{_part(branch, is_norm=not layer.startswith('res'), cut=cut)}"
        elif layer.startswith("fc"):
            found[layer] = "fc"
    return found


def _block_number(block: str) -> int:
    """Blocks of a stage count a, b, c, ..., or a, b1, b2, ...

    >>> [_block_number(block) for block in ("a", "c", "b22")]
    [0, 2, 22]
    """
    return int(block[1:]) if len(block) > 1 else ord(block) - ord("a")


def _part(branch: str, *, is_norm: bool, cut: bool) -> str:
    if cut:
        return "1" if is_norm else "0"
    if branch == "1":
        return "downsample.1" if is_norm else "downsample.0"
    return f"{'bn' if is_norm else 'conv'}{ord(branch[1]) - ord('a') + 1}"


def alexnet(layers: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """The same for every file of BVLC's AlexNet and CaffeNet."""
    return ALEXNET


def squeezenet(layers: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """1.0 or 1.1, told by the first convolution's kernel."""
    fires = FIRES_V1_0 if layers["conv1"][0].shape[-1] == 7 else FIRES_V1_1
    table = {"conv1": "features.0", "conv10": "classifier.1"}
    for number, place in enumerate(fires, 2):
        for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            table[f"fire{number}/{theirs}"] = f"features.{place}.{ours}"
    return table


# By a layer that only this family has.
_FAMILIES: dict[str, Callable[[Mapping[str, Sequence[Any]]], dict[str, str]]] = {
    "res2a_branch2a": resnet,
    "fc6": alexnet,
    "fire2/squeeze1x1": squeezenet,
}
