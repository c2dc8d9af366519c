"""The formats that weights are read from, and loading them into a network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.folder import best_of_run
from ..checkpoints.tensor_checks import check_fit, tensor_flaw
from ..config.made_for import parse_made_for
from ..errors import WeightsError, reading
from . import caffe, safe_tensors, theano, torch_file, torchvision
from .scaled_weights import ScaledWeights, Std


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
    "caffe": Format(recognizes=caffe.recognizes, read=caffe.read),
}

UNUSED_BUFFER = "num_batches_tracked"
"""counter in the batch norms of some versions of torch, which no computation uses"""


def read_weights(path: str | Path, made_for: str = "auto", network: str = "") -> ScaledWeights:
    """Return the weights at ``path`` without the counters of batch norms.

    ``path`` may name its format, as in ``cudaconvnet:FOLDER``; otherwise the content decides. The folder of a run
    means its best checkpoint, and torchvision the weights that it publishes for ``network``. ``made_for``
    (``model.made_for``) is for files that do not tell their inputs. Raises
    WeightsError if the format is unknown, the file is damaged, or its network is unknown.
    """
    if torchvision.is_published(path):
        path = torchvision.fetch(path, network)
    prefix, _, rest = str(path).partition(":")
    named = FORMATS.get(prefix) if rest else None
    file = Path(rest) if named else Path(path)
    file = best_of_run(file) or file
    if not file.exists():
        raise WeightsError(f"there are no weights at {file}; name an existing file or folder")
    with reading(file, WeightsError, "fetch it again"):
        chosen = named or next((known for known in FORMATS.values() if known.recognizes(file)), None)
        if chosen is None and file.suffix == ".onnx":
            raise WeightsError(f"{file} can only classify pictures; name its checkpoint or .safetensors file")
        if chosen is None:
            known = ", ".join(FORMATS)
            raise WeightsError(f"{file} is in none of the known formats: {known}; to choose one, write FORMAT:{file}")
        weights = chosen.read(file)
    if images := parse_made_for("model.made_for", made_for):
        weights = torch_file.rewritten(weights, images, file)
    tensors = {name: value for name, value in weights.tensors.items() if not name.endswith(UNUSED_BUFFER)}
    tensors = _without_wrappers(tensors)
    mean = tensors.pop(safe_tensors.MEAN, None)  # of an exported file, saved again by another program
    if mean is not None and (flaw := tensor_flaw(mean)):
        raise WeightsError(f"{path}: {safe_tensors.MEAN} {flaw}; fetch it again")
    return weights._replace(tensors=tensors)


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``tensors`` without the prefix that DistributedDataParallel or torch.compile gives to every name.

    >>> list(_without_wrappers({"_orig_mod.module.fc.bias": torch.zeros(1), "_orig_mod.module.scale": torch.zeros(1)}))
    ['fc.bias', 'scale']
    """
    for prefix in ("module.", "_orig_mod."):
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _without_wrappers({name.removeprefix(prefix): value for name, value in tensors.items()})
    return tensors


def load_weights(
    model: nn.Module, path: str | Path, std: Std | None = None, network: str = "", made_for: str = "auto"
) -> ScaledWeights:
    """Copy the weights at ``path`` into ``model``, in place: tensors that are views of other memory stay views.

    They are rescaled for inputs divided by ``std`` (``normalize.std``). ``path`` is as for ``read_weights``. Returns
    what the file holds. Raises WeightsError unless the names and shapes of file and network agree exactly and all
    numbers are finite.
    """
    read, expected = read_weights(path, made_for, network), loadable_tensors(model)
    if network and read.network not in ("", network):
        raise WeightsError(f"{path} is of the network {read.network}, not {network}; use --model.name {read.network}")
    weights = read.rescaled(std, path)
    check_fit(path, weights, expected, WeightsError)
    with torch.no_grad():
        for name, value in expected.items():
            value.copy_(weights[name])
    return read


def loadable_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of ``model`` that are loaded, by name; they share the model's memory."""
    return {name: value for name, value in model.state_dict().items() if not name.endswith(UNUSED_BUFFER)}
