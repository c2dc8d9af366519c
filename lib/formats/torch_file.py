"""Files of torch.save: our checkpoints, and state dicts of torchvision where the networks are the same.

The mean that torchvision's networks lose needs no care: that of ImageNet is the same in ours.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.checkpoints import checkpoint
from lib.errors import WeightsError
from lib.formats.scale import Weights

# torchvision's networks see colours from 0 to 1, less a mean, over 0.229, 0.224, 0.225.
TORCHVISION_STD = (255 * 0.229, 255 * 0.224, 255 * 0.225)


def recognises(path: Path) -> bool:
    """A zip file or, before torch 1.6, a pickle; neither is opened in a way that could run code."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02")


def is_of_others(path: Path) -> bool:
    """Whether ``path`` is no checkpoint of this program; what is damaged might be one."""
    if not recognises(path):
        return True
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # damaged files make torch.load raise nearly anything
        return False
    return not (isinstance(state, dict) and "format" in state)


def read(path: Path) -> Weights:
    """The weights of one of our checkpoints, or of a state dict of torchvision. Raises WeightsError."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch.load raise nearly anything
        raise WeightsError(f"{path} is damaged or holds no plain tensors: {str(error).partition(chr(10))[0]}") from None
    if isinstance(state, dict) and "format" in state:
        saved = checkpoint.load(path)
        return Weights(saved.parameters, saved.preparation.std)
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise WeightsError(
            f"{path} is neither a checkpoint of this program nor a dict of tensors; save the state_dict() alone"
        )
    return Weights(state, TORCHVISION_STD)
