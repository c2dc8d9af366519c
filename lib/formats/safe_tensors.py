"""safetensors: tensors by name behind a small JSON header; ours hold the network's own names."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib.errors import WeightsError


def recognises(path: Path) -> bool:
    """Eight bytes with the length of the header, which is a JSON object."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def read(path: Path) -> dict[str, Tensor]:
    """Every tensor by its name. Raises WeightsError."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None


def write(tensors: Mapping[str, Tensor], about: Mapping[str, str], path: Path) -> None:
    """Write ``tensors`` and, in the header, ``about``."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, dict(about))
