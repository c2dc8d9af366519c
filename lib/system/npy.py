"""Convert arrays to the bytes of a .npy file and back, with one error for every kind of damage."""

import io
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_npy_bytes(array: NDArray[Any]) -> bytes:
    """Return the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def from_npy_bytes(content: bytes) -> NDArray[Any]:
    """Return the array in the bytes of a .npy file. Raises ValueError if they are damaged or hold Python objects."""
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (EOFError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    return array
