"""Convert arrays to the bytes of a .npy file and back, with one error for every kind of damage."""

import io
import threading
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, reading

# NumPy reads headers with the ast module, which in Python 3.11 fails in several threads at once (cpython issue 106905).
_ONE_AT_A_TIME = threading.Lock()


def to_npy_bytes(array: NDArray[Any]) -> bytes:
    """Return the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def from_npy_bytes(content: bytes) -> NDArray[Any]:
    """Return the array in the bytes of a .npy file. Raises ValueError if they are damaged or hold Python objects."""
    try:
        with _ONE_AT_A_TIME:
            array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (EOFError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    return array


def read_npy(path: Path, error_type: type[UserError], fix: str) -> NDArray[Any]:
    """Return the array in a .npy file. Raises ``error_type`` with the file and ``fix`` if it cannot be read."""
    with reading(path, error_type, fix):
        return from_npy_bytes(path.read_bytes())
