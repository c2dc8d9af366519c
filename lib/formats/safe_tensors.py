"""safetensors: tensors by name after a JSON header. Files of this program have its own names.

Their header contains "network", "std" and "folders", the folder names of the classes; files that ``export.py`` writes
have more (docs/exports.md), and beside the weights the tensor ``MEAN``. Files without "network" are taken for
torchvision's.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from ..config.made_for import TORCHVISION_STD
from ..errors import WeightsError
from ..system.atomic_write import atomic_write
from .scaled_weights import ScaledWeights, Std

MEAN = "mean_image"
"""name of the tensor that is subtracted from pictures, float32 (3, H, W); it is no weight"""


def recognizes(path: Path) -> bool:
    """Return whether ``path`` starts with eight bytes for the length of the header and the header's "{"."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def read(path: Path) -> ScaledWeights:
    """Return all tensors by name. Raises WeightsError."""
    try:
        metadata, _ = read_header(path)
        if "network" not in metadata:
            return ScaledWeights(load_file(path), TORCHVISION_STD)
        std = msgspec.json.decode(metadata.get("std", "null"), type=Std | None)
        folders = msgspec.json.decode(metadata.get("folders", "[]"), type=tuple[str, ...])
        weights = {name: value for name, value in load_file(path).items() if name != MEAN}
        return ScaledWeights(weights, std, folders, metadata["network"])
    except (SafetensorError, OSError, msgspec.DecodeError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None


def read_header(path: Path) -> tuple[dict[str, str], Tensor | None]:
    """Return the metadata, and the tensor ``MEAN`` if there is one. Raises WeightsError."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, file.get_tensor(MEAN) if MEAN in file.keys() else None  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from None


def write(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write ``tensors``, with ``metadata`` in the header. Raises OSError."""
    # The library's own save_file gives the file a mode that only its owner can read.
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata))
    atomic_write(path, lambda file: file.write(content))
