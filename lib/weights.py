"""Weights to start from: parameters out of a file into a network that may have another number of classes."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lib import checkpoint
from lib.errors import CheckpointError


def load_weights(model: nn.Module, path: Path) -> str:
    """Copy the parameters and buffers at ``path`` into ``model``; returns what was done, as one line.

    Layers that have one output a class keep their new values where the file has another number of classes.
    Raises CheckpointError when the file cannot be read, or a tensor is missing, too many, or of another shape.
    """
    state = checkpoint.load(path).parameters
    return fit(model, state, path)


@torch.no_grad()
def fit(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> str:
    """``load_weights`` of a ``state`` that was read from ``path``: parameter and buffer names to tensors."""
    ours = model.state_dict()
    _refuse_other_names(ours, state, path)
    new = _of_other_classes(ours, state)
    for name, tensor in ours.items():
        if name not in new:
            if tensor.shape != state[name].shape:
                raise CheckpointError(
                    f"{path}: {name} is {_shape(state[name])}, in this network it is {_shape(tensor)}; "
                    "name a file of this network and crop in model.weights"
                )
            tensor.copy_(state[name])  # in place: views of the flat row stay views
    if not new:
        return f"{path}, all parameters"
    last = list(ours)[-1]
    return (
        f"{path}, all parameters but {', '.join(new)}, which are new: "
        f"{len(ours[last])} classes here, {len(state[last])} there"
    )


def _refuse_other_names(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], path: Path) -> None:
    for what, names in (("lacks", ours.keys() - theirs.keys()), ("has unknown", theirs.keys() - ours.keys())):
        if names:
            raise CheckpointError(
                f"{path} {what} {sorted(names)[0]} and {len(names) - 1} others: it belongs to another network; "
                "set model.name to that one, or model.weights to another file"
            )


def _of_other_classes(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors, in the network's last layers, with one row a class, where the classes differ in number."""
    last = list(ours)[-1]
    here, there = len(ours[last]), len(theirs[last])
    heads = [name for name in ours if _is_head(ours[name].shape, theirs[name].shape, here, there)]
    return heads if here != there else []


def _is_head(ours: torch.Size, theirs: torch.Size, here: int, there: int) -> bool:
    return ours[:1] == (here,) and theirs[:1] == (there,) and ours[1:] == theirs[1:]


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
