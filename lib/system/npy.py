"""Arrays as the bytes of a .npy file, and back. NumPy has half a dozen errors for damaged ones, this has one."""

import io
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bytes_of(array: NDArray[Any]) -> bytes:
    """A whole .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def array_of(content: bytes) -> NDArray[Any]:
    """The array whose .npy file has these bytes. Raises ValueError when they are damaged, or hold Python objects."""
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (EOFError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    return array
