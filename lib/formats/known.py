"""The formats that weights are read from: a dict you can read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

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
NOT_WEIGHTS = "num_batches_tracked"


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights at ``path`` by our names, without counters of batch norms.

    ``path`` may say its format, ``cudaconvnet:FOLDER``; otherwise its content does. Raises WeightsError when that is
    not known, or the file is damaged or of a network that is not.
    """
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
    return {name: value for name, value in found.read(place).items() if not name.endswith(NOT_WEIGHTS)}
