"""safetensors: tensors by name behind a small JSON header; ours hold the network's own names.

In the header of ours are "network" and "std"; files without are taken for torchvision's.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.errors import WeightsError
from lib.formats.scale import Std, Weights
from lib.formats.torch_file import TORCHVISION_STD


def recognises(path: Path) -> bool:
    """Eight bytes with the length of the header, which is a JSON object."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def read(path: Path) -> Weights:
    """Every tensor by its name. Raises WeightsError."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        return Weights(load_file(path), _std(about) if "network" in about else TORCHVISION_STD)
    except (SafetensorError, OSError, msgspec.DecodeError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None


def write(tensors: Mapping[str, Tensor], about: Mapping[str, str], path: Path) -> None:
    """Write ``tensors`` and, in the header, ``about``."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, dict(about))


def _std(about: Mapping[str, str]) -> Std | None:
    std: Std | None = msgspec.json.decode(about.get("std", "null"), type=Std | None)
    return std
