"""The formats that weights are read from, and loading them into a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.checkpoints.folder import best_of_run
from lib.errors import WeightsError
from lib.formats import caffe, safe_tensors, theano, torch_file
from lib.formats.scaled_weights import ScaledWeights, Std


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of file or folder with weights."""

    recognizes: Callable[[Path], bool]
    """whether a path is of this kind, by its content; the first format that recognizes a path reads it"""
    read: Callable[[Path], ScaledWeights]
    """return the weights in this program's names and shapes; raises WeightsError"""


def _unscaled(read: Callable[[Path], dict[str, Tensor]]) -> Callable[[Path], ScaledWeights]:
    """Return a reader for a program whose networks take inputs of 0 to 255, less a mean."""
    return lambda path: ScaledWeights(read(path))


FORMATS = {
    "torch": Format(recognizes=torch_file.recognizes, read=torch_file.read),
    "safetensors": Format(recognizes=safe_tensors.recognizes, read=safe_tensors.read),
    "theano": Format(recognizes=theano.recognizes, read=_unscaled(theano.read)),
    # Its files look like those of theano, so it must be named.
    "cudaconvnet": Format(recognizes=lambda _: False, read=_unscaled(partial(theano.read, lib_conv="cudaconvnet"))),
    "caffe": Format(recognizes=caffe.recognizes, read=_unscaled(caffe.read)),
}

UNUSED_BUFFER = "num_batches_tracked"
"""counter in the batch norms of some versions of torch, which no computation uses"""


def read_weights(path: str | Path) -> ScaledWeights:
    """Return the weights at ``path`` without the counters of batch norms.

    ``path`` may name its format, as in ``cudaconvnet:FOLDER``; otherwise the content decides. The folder of a run
    means its best checkpoint. Raises WeightsError if the format is unknown, the file is damaged, or its network is
    unknown.
    """
    prefix, _, rest = str(path).partition(":")
    named = FORMATS.get(prefix) if rest else None
    file = Path(rest) if named else Path(path)
    file = best_of_run(file) or file
    if not file.exists():
        raise WeightsError(f"there are no weights at {file}; name an existing file or folder")
    chosen = named or next((known for known in FORMATS.values() if known.recognizes(file)), None)
    if chosen is None:
        raise WeightsError(
            f"{file} is in none of the known formats: {', '.join(FORMATS)}; to choose one, write FORMAT:{file}"
        )
    weights = chosen.read(file)
    tensors = {name: value for name, value in weights.tensors.items() if not name.endswith(UNUSED_BUFFER)}
    return weights._replace(tensors=tensors)


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
