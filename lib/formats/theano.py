"""theano_alexnet's weights: a folder of .npy files, one for each parameter, named by kind, layer and epoch.

    W_0_65.npy  b_0_65.npy                        first layer (0 to 7) after epoch 65
    W0_1_65.npy W1_1_65.npy b0_1_65.npy b1_1_65.npy   the two groups of a grouped convolution

Convolutions are stored as (inputs, height, width, outputs), linear layers as (inputs, outputs). Trained with
``lib_conv: cudnn``, its default and that of the published weights, kernels are turned by 180 degrees: Theano's
convolution is a true one, torch's a correlation. With ``cudaconvnet`` they are not. The files do not say which.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lib.errors import WeightsError
from lib.system.npy import array_of

LibConv = Literal["cudnn", "cudaconvnet"]

# Each of its layers: our name and the number of groups.
LAYERS = (
    ("features.0", 1),
    ("features.4", 2),
    ("features.8", 1),
    ("features.10", 2),
    ("features.12", 2),
    ("classifier.1", 1),
    ("classifier.4", 1),
    ("classifier.7", 1),
)


def recognises(path: Path) -> bool:
    """A folder with the weights of the first layer."""
    return path.is_dir() and any(path.glob("W_0_*.npy"))


def read(path: Path, lib_conv: LibConv = "cudnn") -> dict[str, Tensor]:
    """The weights of the last epoch in the folder. Raises WeightsError."""
    epoch = _last_epoch(path)
    found = {}
    for layer, (name, groups) in enumerate(LAYERS):
        for kind, ours in (("W", "weight"), ("b", "bias")):
            parts = [_load(path / f"{kind}{group}_{layer}_{epoch}.npy") for group in _suffixes(groups)]
            axis = parts[0].ndim - 1  # outputs come last
            found[f"{name}.{ours}"] = _to_ours(torch.cat(parts, axis), lib_conv)
    return found


def write(tensors: Mapping[str, Tensor], epoch: int, path: Path, lib_conv: LibConv = "cudnn") -> None:
    """Write the files of one epoch, float32. Raises WeightsError when the network is not theano_alexnet's."""
    wanted = {f"{name}.{kind}" for name, _ in LAYERS for kind in ("weight", "bias")}
    if wanted != set(tensors):
        raise WeightsError("theano_alexnet's files are for the network alexnet only; export this one to safetensors")
    path.mkdir(parents=True, exist_ok=True)
    for layer, (name, groups) in enumerate(LAYERS):
        for kind, ours in (("W", "weight"), ("b", "bias")):
            value = _to_theirs(tensors[f"{name}.{ours}"], lib_conv)
            for group, part in zip(_suffixes(groups), value.chunk(groups, value.ndim - 1), strict=True):
                np.save(path / f"{kind}{group}_{layer}_{epoch}.npy", part.contiguous().numpy(), allow_pickle=False)


# The same of weights that were trained with cudaconvnet.
read_cudaconvnet = partial(read, lib_conv="cudaconvnet")


def _suffixes(groups: int) -> tuple[str, ...]:
    return ("",) if groups == 1 else tuple(str(group) for group in range(groups))


def _last_epoch(path: Path) -> int:
    found = [re.fullmatch(r"W_0_(\d+)\.npy", file.name) for file in path.glob("W_0_*.npy")]
    epochs = [int(match[1]) for match in found if match]
    if not epochs:
        raise WeightsError(f"{path} holds no W_0_EPOCH.npy, so no weights of theano_alexnet")
    return max(epochs)


def _load(path: Path) -> Tensor:
    try:
        return torch.from_numpy(array_of(path.read_bytes()).astype(np.float32))
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing; all files of one epoch are needed") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from None


def _to_ours(value: Tensor, lib_conv: LibConv) -> Tensor:
    if value.ndim == 2:
        return value.T.contiguous()
    if value.ndim == 4:
        return _turned(value.permute(3, 0, 1, 2), lib_conv).contiguous()
    return value


def _to_theirs(value: Tensor, lib_conv: LibConv) -> Tensor:
    if value.ndim == 2:
        return value.T
    if value.ndim == 4:
        return _turned(value, lib_conv).permute(1, 2, 3, 0)
    return value


def _turned(weight_OIHW: Tensor, lib_conv: LibConv) -> Tensor:
    return weight_OIHW.flip(2, 3) if lib_conv == "cudnn" else weight_OIHW
