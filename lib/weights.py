"""Weights for a network from a file, whosever format it is in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.errors import WeightsError
from lib.formats import caffe, safe_tensors, theano, torch_file


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of file or folder."""

    recognises: Callable[[Path], bool]
    """by its content, whether a path is of this kind; of two that say so, the first is taken"""

    read: Callable[[Path], dict[str, Tensor]]
    """its weights in our names and shapes. Raises WeightsError"""


FORMATS = {
    "torch": Format(recognises=torch_file.recognises, read=torch_file.read),
    "safetensors": Format(recognises=safe_tensors.recognises, read=safe_tensors.read),
    "theano": Format(recognises=theano.recognises, read=theano.read),
    "cudaconvnet": Format(recognises=lambda _: False, read=theano.read_cudaconvnet),  # cannot be told from theano
    "caffe": Format(recognises=caffe.recognises, read=caffe.read),
}

# Counters that batch norms of some versions of torch have, and that no computation uses.
_NOT_WEIGHTS = "num_batches_tracked"


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Copy the weights at ``path`` into ``model``, in place: views of other memory stay that.

    ``path`` may say its format, ``cudaconvnet:FOLDER``; otherwise its content does. Raises WeightsError unless each
    weight of the network is there, in its shape, and nothing else is.
    """
    weights = read_weights(path)
    wanted = {name: value for name, value in model.state_dict().items() if not name.endswith(_NOT_WEIGHTS)}
    refuse_misfits(path, weights, wanted)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(weights[name])


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights at ``path`` by our names. Raises WeightsError when it is of no known format."""
    name, _, rest = str(path).partition(":")
    named = FORMATS.get(name) if rest else None
    place = Path(rest) if named else Path(path)
    if not place.exists():
        raise WeightsError(f"there are no weights at {place}")
    found = named or next((known for known in FORMATS.values() if known.recognises(place)), None)
    if found is None:
        raise WeightsError(
            f"{place} is in no format that is known: {', '.join(FORMATS)}; if it is, say which with FORMAT:{place}"
        )
    return {name: value for name, value in found.read(place).items() if not name.endswith(_NOT_WEIGHTS)}


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
