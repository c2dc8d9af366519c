"""Files of torch.save: checkpoints of this program, and torchvision's state dicts of the networks both have.

A state dict may lie in a dict with other values, as training scripts save it.

torchvision's networks subtract a mean of ImageNet, which equals the mean of this program's data sets of ImageNet. So
only the scale of the inputs differs.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.serialization import safe_globals

from ..checkpoints import checkpoint
from ..checkpoints.tensor_checks import load_tensors
from ..config.made_for import TORCHVISION_STD, MadeFor
from ..errors import WeightsError, first_line
from .scaled_weights import ScaledWeights

# Where training scripts put the state dict: PyTorch's ImageNet example, timm, torchvision's references, Lightning.
_STATE_KEYS = ("state_dict", "model_state_dict", "model")


def recognizes(path: Path) -> bool:
    """Return whether ``path`` is a zip file or, from before torch 1.6, a pickle. Nothing is unpickled."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02")


def rewritten(weights: ScaledWeights, images: MadeFor, path: str | Path) -> ScaledWeights:
    """Return weights that do not tell their inputs as those of a network that was made for ``images``.

    ``images.mean`` is left to the caller: it belongs to the data. Raises WeightsError, which names ``path``, if they
    tell their inputs.
    """
    if weights.network or weights.std != TORCHVISION_STD:
        raise WeightsError(f"{path} tells what images it was made for; leave made_for out")
    if images.bgr:
        first = weights.first_convolution(path)
        weights = weights._replace(tensors=weights.tensors | {first: weights.tensors[first].flip(1)})
    return weights._replace(std=images.std)


def read(path: Path) -> ScaledWeights:
    """Return the weights of a checkpoint, or of a state dict of torchvision. Raises WeightsError."""
    try:
        with safe_globals([Namespace]):  # a training script's options, which hold plain values
            state: Any = load_tensors(path)
    except Exception as error:  # a damaged file can make torch.load raise almost anything
        raise WeightsError(f"{path} is damaged or contains more than tensors: {first_line(error)}") from None
    if isinstance(state, dict) and "format" in state:
        saved = checkpoint.load(path)
        return ScaledWeights(saved.parameters, saved.preparation.std, saved.preparation.folders, saved.identity.model)
    if isinstance(state, dict):
        state = next((state[key] for key in _STATE_KEYS if isinstance(state.get(key), dict)), state)
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise WeightsError(
            f"{path} is neither a checkpoint of this program nor a dict of tensors; save only the model's state_dict()"
        )
    return ScaledWeights({str(name): value.detach() for name, value in state.items()}, TORCHVISION_STD)
