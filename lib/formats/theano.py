"""theano_alexnet's weights: a folder of .npy files, one per parameter, named after its kind, layer and epoch.

    W_0_65.npy  b_0_65.npy                            the first of layers 0 to 7, after epoch 65
    W0_1_65.npy W1_1_65.npy b0_1_65.npy b1_1_65.npy   the two groups of a grouped convolution

Convolutions are stored as (inputs, height, width, outputs), linear layers as (inputs, outputs). Trained with
``lib_conv: cudnn`` (its default, used for the published weights), kernels are rotated by 180 degrees: Theano computes a
true convolution, torch a correlation. With ``cudaconvnet`` they are not. The files do not record which was used.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import WeightsError
from ..system.npy import from_npy_bytes

LibConv = Literal["cudnn", "cudaconvnet"]

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
"""name in ``lib.models.alexnet`` and number of groups of each layer"""

_KINDS = (("W", "weight"), ("b", "bias"))


def recognizes(path: Path) -> bool:
    """Return whether ``path`` is a folder with the weights of the first layer."""
    return path.is_dir() and any(path.glob("W_0_*.npy"))


def read(path: Path, lib_conv: LibConv = "cudnn") -> dict[str, Tensor]:
    """Return the weights of the last epoch in the folder. Raises WeightsError."""
    epoch = _last_epoch(path)
    tensors = {}
    for layer, (name, groups) in enumerate(LAYERS):
        for prefix, kind in _KINDS:
            values = [_load(path / f"{prefix}{group}_{layer}_{epoch}.npy") for group in _suffixes(groups)]
            value = torch.cat(values, -1).movedim(-1, 0)
            tensors[f"{name}.{kind}"] = _rotated(value, lib_conv).contiguous()
    return tensors


def write(tensors: Mapping[str, Tensor], epoch: int, path: Path, lib_conv: LibConv = "cudnn") -> None:
    """Write the float32 files of one epoch. Raises WeightsError unless the network is theano_alexnet's."""
    if set(tensors) != {f"{name}.{kind}" for name, _ in LAYERS for _, kind in _KINDS}:
        raise WeightsError("theano_alexnet's files are for the network alexnet only; export this one to safetensors")
    path.mkdir(parents=True, exist_ok=True)
    for layer, (name, groups) in enumerate(LAYERS):
        for prefix, kind in _KINDS:
            value = _rotated(tensors[f"{name}.{kind}"], lib_conv).movedim(0, -1)
            for group, values in zip(_suffixes(groups), value.chunk(groups, -1), strict=True):
                np.save(path / f"{prefix}{group}_{layer}_{epoch}.npy", values.contiguous().numpy(), allow_pickle=False)


def _suffixes(groups: int) -> tuple[str, ...]:
    return ("",) if groups == 1 else tuple(str(group) for group in range(groups))


def _last_epoch(path: Path) -> int:
    matches = [re.fullmatch(r"W_0_(\d+)\.npy", file.name) for file in path.glob("W_0_*.npy")]
    epochs = [int(match[1]) for match in matches if match]
    if not epochs:
        raise WeightsError(f"{path} has no file W_0_EPOCH.npy; name the folder of theano_alexnet's weights")
    return max(epochs)


def _load(path: Path) -> Tensor:
    try:
        return torch.from_numpy(from_npy_bytes(path.read_bytes()).astype(np.float32))
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing; all files of an epoch are needed") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged ({error}); fetch it again") from None


def _rotated(weight: Tensor, lib_conv: LibConv) -> Tensor:
    """Return a convolution (outputs, inputs, height, width) rotated by 180 degrees if ``lib_conv`` requires it."""
    return weight.flip(2, 3) if weight.ndim == 4 and lib_conv == "cudnn" else weight
