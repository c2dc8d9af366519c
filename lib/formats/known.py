"""The formats that weights are read from: a dict you can read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lib.checkpoints.checkpoint import best_of_run
from lib.errors import WeightsError
from lib.formats import caffe, safe_tensors, theano, torch_file
from lib.formats.scale import Weights


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of file or folder."""

    recognises: Callable[[Path], bool]
    """by its content, whether a path is of this kind; of two that say so, the first is taken"""

    read: Callable[[Path], Weights]
    """its weights in our names and shapes. Raises WeightsError"""


def _of_bytes(read: Callable[[Path], dict[str, Tensor]]) -> Callable[[Path], Weights]:
    """Of a program whose networks see colours from 0 to 255, less a mean."""
    return lambda path: Weights(read(path))


FORMATS = {
    "torch": Format(recognises=torch_file.recognises, read=torch_file.read),
    "safetensors": Format(recognises=safe_tensors.recognises, read=safe_tensors.read),
    "theano": Format(recognises=theano.recognises, read=_of_bytes(theano.read)),
    # Cannot be told from theano.
    "cudaconvnet": Format(recognises=lambda _: False, read=_of_bytes(theano.read_cudaconvnet)),
    "caffe": Format(recognises=caffe.recognises, read=_of_bytes(caffe.read)),
}

# Counters that batch norms of some versions of torch have, and that no computation uses.
NOT_WEIGHTS = "num_batches_tracked"


def read_weights(path: str | Path) -> Weights:
    """The weights at ``path`` by our names, without counters of batch norms.

    ``path`` may say its format, ``cudaconvnet:FOLDER``; otherwise its content does. A run's folder stands for its
    best checkpoint. Raises WeightsError when the format is not known, or the file is damaged or of a network that is
    not.
    """
    name, _, rest = str(path).partition(":")
    named = FORMATS.get(name) if rest else None
    place = Path(rest) if named else Path(path)
    place = best_of_run(place) or place
    if not place.exists():
        raise WeightsError(f"there are no weights at {place}; name the file or folder that holds some")
    found = named or next((known for known in FORMATS.values() if known.recognises(place)), None)
    if found is None:
        raise WeightsError(
            f"{place} is in no format that is known: {', '.join(FORMATS)}; if it is, say which with FORMAT:{place}"
        )
    weights = found.read(place)
    tensors = {name: value for name, value in weights.tensors.items() if not name.endswith(NOT_WEIGHTS)}
    return weights._replace(tensors=tensors)
