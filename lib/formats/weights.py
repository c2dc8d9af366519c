"""Weights for a network from a file, in any format that is known."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.errors import WeightsError
from lib.formats.known import NOT_WEIGHTS, read_weights
from lib.formats.scale import Std


def load_weights(model: nn.Module, path: str | Path, std: Std | None = None) -> None:
    """Copy the weights at ``path`` into ``model``, in place: views of other memory stay that.

    Whatever pictures they were made for, ``model`` is to see such as are divided by ``std`` (``normalize.std``).

    ``path`` is as for ``read_weights``. Raises WeightsError unless each weight of the network is there, in its shape,
    and nothing else is: nothing of a network that is to be used as it is may be left to chance.
    """
    weights, wanted = read_weights(path).for_pictures_over(std, path), weights_of(model)
    refuse_misfits(path, weights, wanted)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(weights[name])


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of ``model`` that are to be loaded, by name; they share its memory."""
    return {name: value for name, value in model.state_dict().items() if not name.endswith(NOT_WEIGHTS)}


def refuse_misfits(path: str | Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises WeightsError with the first weight that does not fit, is missing, or has no place."""
    for name, value in wanted.items():
        if name in weights and weights[name].shape != value.shape:
            raise WeightsError(
                f"{path}: {name} is {tuple(weights[name].shape)} there and {tuple(value.shape)} in this network; "
                "choose the model.name, classes and image size that the weights were made with"
            )
    missing, extra = [n for n in wanted if n not in weights], [n for n in weights if n not in wanted]
    if missing or extra:
        told = [
            f"{n[0]} {tuple(of[n[0]].shape)} {what}"
            for n, of, what in (
                (missing, wanted, f"is missing there ({len(missing)} such)"),
                (extra, weights, f"has no place in this network ({len(extra)} such)"),
            )
            if n
        ]
        raise WeightsError(f"{path} is of another network: {', and '.join(told)}; choose its own model.name")
