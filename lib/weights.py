"""Weights for a network from a file."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lib import checkpoint
from lib.errors import CheckpointError

# Counters that batch norms have, and that no computation uses.
_NOT_WEIGHTS = "num_batches_tracked"


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Copy the weights at ``path`` into ``model``, in place: views of other memory stay that.

    Raises CheckpointError unless each weight of the network is there, in its shape, and nothing else is.
    """
    weights, wanted = read_weights(path), weights_of(model)
    refuse_misfits(path, weights, wanted)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(weights[name])


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights at ``path`` by our names. Raises CheckpointError when it is no checkpoint of ours."""
    return {k: v for k, v in checkpoint.load(Path(path)).parameters.items() if not k.endswith(_NOT_WEIGHTS)}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of ``model`` that are to be loaded, by name; they share its memory."""
    return {name: value for name, value in model.state_dict().items() if not name.endswith(_NOT_WEIGHTS)}


def refuse_misfits(path: str | Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError with the first weight that does not fit, is missing, or has no place."""
    for name, value in wanted.items():
        if name in weights and weights[name].shape != value.shape:
            raise CheckpointError(
                f"{path}: {name} is {tuple(weights[name].shape)} there and {tuple(value.shape)} in this network; "
                "choose the model.name and image size that the weights were made with"
            )
    for what, names in (
        ("is missing there", [name for name in wanted if name not in weights]),
        ("has no place in this network", [name for name in weights if name not in wanted]),
    ):
        if names:
            raise CheckpointError(
                f"{path} is of another network: {names[0]} {what} ({len(names)} such); choose its own model.name"
            )
