"""Loading weights of any known format into a network."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.errors import WeightsError
from lib.formats.registry import UNUSED_BUFFER, read_weights
from lib.formats.scaled_weights import Std


def load_weights(model: nn.Module, path: str | Path, std: Std | None = None) -> None:
    """Copy the weights at ``path`` into ``model``, in place: tensors that are views of other memory stay views.

    They are rescaled for inputs divided by ``std`` (``normalize.std``). ``path`` is as for ``read_weights``. Raises
    WeightsError unless the names and shapes of file and network agree exactly.
    """
    weights, expected = read_weights(path).rescaled(std, path), loadable_tensors(model)
    check_weights_fit(path, weights, expected)
    with torch.no_grad():
        for name, value in expected.items():
            value.copy_(weights[name])


def loadable_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of ``model`` that are loaded, by name; they share the model's memory."""
    return {name: value for name, value in model.state_dict().items() if not name.endswith(UNUSED_BUFFER)}


def check_weights_fit(path: str | Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise WeightsError with the first weight that is missing, unexpected, or of another shape."""
    for name, value in expected.items():
        if name in weights and weights[name].shape != value.shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(weights[name].shape)} in the file and {tuple(value.shape)} in this "
                "network; use the model.name, number of classes and image size that the weights were trained with"
            )
    missing = [name for name in expected if name not in weights]
    extra = [name for name in weights if name not in expected]
    reasons = [
        f"{names[0]} {tuple(tensors[names[0]].shape)} is {what} ({len(names)} in all)"
        for names, tensors, what in (
            (missing, expected, "missing in the file"),
            (extra, weights, "not in this network"),
        )
        if names
    ]
    if reasons:
        raise WeightsError(f"{path} is of another network: {', and '.join(reasons)}; use the right model.name")
