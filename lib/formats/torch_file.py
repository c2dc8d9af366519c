"""Files of torch.save: our checkpoints, and state dicts of torchvision where the networks are the same.

torchvision's networks see colours from 0 to 1, less a mean, over a standard deviation; ours see them from 0 to 255,
less a mean. So the first convolution is divided by 255 times the deviation. The mean needs no such care: that of
ImageNet is the same in both.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.checkpoints import checkpoint
from lib.errors import WeightsError

# torchvision's standard deviations of red, green and blue.
STD = (0.229, 0.224, 0.225)


def recognises(path: Path) -> bool:
    """A zip file or, before torch 1.6, a pickle; neither is opened in a way that could run code."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02")


def read(path: Path) -> dict[str, Tensor]:
    """The weights of one of our checkpoints, or of a state dict of torchvision. Raises WeightsError."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch.load raise nearly anything
        raise WeightsError(f"{path} is damaged or holds no plain tensors: {str(error).partition(chr(10))[0]}") from None
    if isinstance(state, dict) and "format" in state:
        return checkpoint.load(path).parameters
    if not (isinstance(state, dict) and state and all(isinstance(value, Tensor) for value in state.values())):
        raise WeightsError(f"{path} is neither a checkpoint of this program nor a dict of tensors")
    return for_bytes(path, state)


def for_bytes(path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network for colours from 0 to 255."""
    first = next((name for name, value in state.items() if value.ndim == 4 and value.shape[1] == 3), None)
    if first is None:
        raise WeightsError(f"{path} holds no convolution of a colour image; is it weights of an image network?")
    return state | {first: state[first] / (255 * torch.tensor(STD)).view(1, 3, 1, 1)}
